"""Chemical groups from the geometry alone: an atom's environment is its element and neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list
from numpy.typing import NDArray

_TOLERANCE = 1.15
"""Atoms are bonded if closer than this many sums of their covalent radii."""


def bonds(atoms: Atoms) -> NDArray[np.int64]:
    """Return the pairs (n, 2) of bonded atoms, each once, from ASE's covalent radii."""
    first, second = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=_TOLERANCE))
    pairs = np.stack([first, second], axis=1)
    return np.asarray(pairs[first < second], dtype=np.int64)


def environments(atoms: Atoms) -> list[str]:
    """Return the environment of each atom: its element, in parentheses its sorted neighbours.

    The carbon of methanol is "C(H,H,H,O)"; an atom without neighbours is "He()".
    """
    symbols = atoms.get_chemical_symbols()
    neighbours: list[list[str]] = [[] for _ in symbols]
    for first, second in bonds(atoms):
        neighbours[first].append(symbols[second])
        neighbours[second].append(symbols[first])
    return [
        f"{symbol}({','.join(sorted(around))})"
        for symbol, around in zip(symbols, neighbours, strict=True)
    ]


def count_environments(structures: Iterable[Atoms]) -> dict[str, int]:
    """Return in how many of the structures each environment occurs, the most frequent first."""
    counts: Counter[str] = Counter()
    for atoms in structures:
        counts.update(set(environments(atoms)))
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def rarest(atoms: Atoms, counts: Mapping[str, int]) -> tuple[str, int]:
    """Return the structure's environment that the fewest counted structures have, and how many."""
    found = sorted(set(environments(atoms)))
    name = min(found, key=lambda environment: counts.get(environment, 0))
    return name, counts.get(name, 0)
