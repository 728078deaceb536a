"""Chemical groups that can be told from a geometry alone, and splits that leave them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.neighborlist import natural_cutoffs, neighbor_list
from numpy.typing import NDArray

from deepdft.data import DensityDataset

_TOLERANCE = 1.15
"""Atoms closer than this many sums of their covalent radii (ASE's) count as bonded."""

Bonds = NDArray[np.bool_]


def bonds(atoms: Atoms) -> Bonds:
    """Return which pairs of atoms are bonded, (atoms, atoms)."""
    i, j = neighbor_list("ij", atoms, natural_cutoffs(atoms, mult=_TOLERANCE))
    result = np.zeros((len(atoms), len(atoms)), dtype=bool)
    result[i, j] = True
    return result


def _two_neighbours(numbers: NDArray[np.int64], bonded: Bonds) -> bool:
    """Carbon with two neighbours: alkynes, nitriles, allenes."""
    return bool(((numbers == 6) & (bonded.sum(axis=1) == 2)).any())


def _nitrogen_oxygen(numbers: NDArray[np.int64], bonded: Bonds) -> bool:
    return bool(bonded[np.ix_(numbers == 7, numbers == 8)].any())


def _nitrogen_nitrogen(numbers: NDArray[np.int64], bonded: Bonds) -> bool:
    return bool(bonded[np.ix_(numbers == 7, numbers == 7)].any())


GROUPS: dict[str, Callable[[NDArray[np.int64], Bonds], bool]] = {
    "carbon with two neighbours": _two_neighbours,
    "N-O bond": _nitrogen_oxygen,
    "N-N bond": _nitrogen_nitrogen,
}


def groups_of(atoms: Atoms) -> set[str]:
    """Return the names of the groups that a molecule has."""
    bonded = bonds(atoms)
    return {name for name, has in GROUPS.items() if has(atoms.numbers, bonded)}


def without_groups(
    dataset: DensityDataset, parts: dict[str, list[int]], left_out: Sequence[str]
) -> dict[str, list[str]]:
    """Return the names in a split of which training and validation lose molecules with groups.

    Args:
        dataset: the molecules.
        parts: positions in `dataset` for train, validation and test.
        left_out: names of the groups.

    Returns:
        Names for the same parts, the test part untouched, and those left out as "left_out".
    """
    result: dict[str, list[str]] = {"left_out": []}
    for part, positions in parts.items():
        result[part] = []
        for position in positions:
            has = part != "test" and groups_of(dataset.atoms(position)) & set(left_out)
            result["left_out" if has else part].append(dataset.names[position])
    return result
