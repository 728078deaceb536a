"""Atoms that are where atoms cannot be: on one another, or out of reach of all others."""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.pairs import near_pairs
from deepdft.structures.structure import listed

FARTHEST = 1e4
"""Å. Longest structure along a direction that is not periodic."""

_NUMERICAL_REACH = 1e9
"""Å. Beyond it, positions are no longer exact enough."""


def require_sensible_positions(atoms: Atoms) -> None:
    """Refuse positions that are not finite, far from all others, or closer than half a bond.

    Raises:
        UnsupportedStructureError: naming the atoms; they are counted from 0.
    """
    require_finite_positions(atoms)
    close = close_pairs(atoms)
    if close:
        shown = [
            f"{i} ({atoms.symbols[i]}) and {j} ({atoms.symbols[j]}), {distance:.3g} Å"
            for i, j, distance in close[:3]
        ]
        more = f", and {len(close) - 3} other pairs" if len(close) > 3 else ""
        what = "at the same place" if close[0][2] < 1e-3 else "closer than half a bond"
        raise UnsupportedStructureError(
            f"Atoms are {what}: {'; '.join(shown)}{more} (counted from 0)."
        )


def require_finite_positions(atoms: Atoms) -> None:
    """Refuse positions that are not finite or far from all others.

    Raises:
        UnsupportedStructureError: naming the atom.
    """
    positions = atoms.positions
    finite = np.isfinite(positions).all(axis=1)
    if not finite.all():
        bad = [f"{i} ({atoms.symbols[i]})" for i in np.flatnonzero(~finite)]
        raise UnsupportedStructureError(
            f"The position of atom {listed(bad)} is not finite (counted from 0)."
        )
    middle = np.median(positions, axis=0)
    offset = positions - middle
    if np.abs(positions).max(initial=0.0) > _NUMERICAL_REACH:
        atom = int(np.abs(positions).max(axis=1).argmax())
        raise UnsupportedStructureError(
            f"Atom {atom} ({atoms.symbols[atom]}) lies {np.abs(positions[atom]).max():.1e} Å from "
            "the origin (counted from 0)."
        )
    if atoms.pbc.any() and not atoms.pbc.all():
        # Along periodic directions atoms may be any number of cells away.
        vectors = np.array(atoms.cell)[atoms.pbc]
        offset = offset - (offset @ np.linalg.pinv(vectors)) @ vectors
    elif atoms.pbc.all():
        return
    distances = np.linalg.norm(offset, axis=1)
    if distances.max(initial=0.0) > FARTHEST:
        atom = int(distances.argmax())
        raise UnsupportedStructureError(
            f"Atom {atom} ({atoms.symbols[atom]}) lies {distances[atom]:.1e} Å from the others "
            f"(counted from 0); up to {FARTHEST:g} Å can be treated."
        )


def close_pairs(atoms: Atoms) -> list[tuple[int, int, float]]:
    """Return pairs of atoms closer than half the sum of their covalent radii, the closest first.

    An atom and its own periodic image count as well.

    Returns:
        Indices and distance (Å) of each pair.
    """
    radii = covalent_radii[np.maximum(atoms.numbers, 0)]
    own = _own_images(atoms)
    if (own < radii).any():  # a cell so thin that images within reach may be millions
        return [(i, i, own) for i in np.flatnonzero(own < radii).tolist()]
    pairs = near_pairs(atoms, float(radii.max(initial=0.0)))
    near = pairs.distances < 0.5 * (radii[pairs.first] + radii[pairs.second])
    found: dict[tuple[int, int], float] = {}
    close = (pairs.first[near], pairs.second[near], pairs.distances[near])
    for i, j, distance in zip(*close, strict=True):
        key = (int(min(i, j)), int(max(i, j)))
        found[key] = min(float(distance), found.get(key, np.inf))
    return sorted(((i, j, d) for (i, j), d in found.items()), key=lambda pair: (pair[2], pair))


def _own_images(atoms: Atoms) -> float:
    """Return the distance of atoms from the nearest of their images in the cells around, Å."""
    vectors = np.asarray(atoms.cell, dtype=np.float64)[atoms.pbc]
    shifts = [shift for shift in itertools.product((-1, 0, 1), repeat=len(vectors)) if any(shift)]
    if not shifts:
        return np.inf
    return float(np.linalg.norm(np.array(shifts) @ vectors, axis=1).min())
