"""Atoms that are where atoms cannot be: on one another, or out of reach of all others."""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.structure import listed

FARTHEST = 1e4
"""Å. Longest structure along a direction that is not periodic."""

_NUMERICAL_REACH = 1e9
"""Å. Beyond it, positions are no longer exact enough."""

FloatArray = NDArray[np.float64]


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
    reach = float(radii.max(initial=0.0))
    positions, owners = _with_images(atoms, reach)
    tree = cKDTree(positions)
    n = len(atoms)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    # The atoms themselves come first, so that one of a pair is below n.
    pairs = pairs[pairs.min(axis=1) < n] if len(pairs) else pairs.reshape(-1, 2)
    distances = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    first, second = owners[pairs[:, 0]], owners[pairs[:, 1]]
    near = distances < 0.5 * (radii[first] + radii[second])
    found: dict[tuple[int, int], float] = {}
    for i, j, distance in zip(first[near], second[near], distances[near], strict=True):
        key = (int(min(i, j)), int(max(i, j)))
        found[key] = min(float(distance), found.get(key, np.inf))
    return sorted(((i, j, d) for (i, j), d in found.items()), key=lambda pair: (pair[2], pair))


def _with_images(atoms: Atoms, reach: float) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return atoms moved into the cell, then their images within reach of it, with their owners."""
    n = len(atoms)
    owners = np.arange(n)
    if not atoms.pbc.any():
        return atoms.positions, owners
    cell = atoms.cell.complete().array
    inverse = np.linalg.inv(cell)
    fractional = atoms.positions @ inverse
    fractional[:, atoms.pbc] %= 1.0
    margin = np.where(atoms.pbc, reach * np.linalg.norm(inverse, axis=0), 0.0)
    shells = np.ceil(margin).astype(int)
    places, owned = [fractional], [owners]
    for shift in itertools.product(*(range(-s, s + 1) for s in shells)):
        if any(shift):
            moved = fractional + np.array(shift)
            inside = ((moved > -margin) & (moved < 1 + margin))[:, atoms.pbc].all(axis=1)
            places.append(moved[inside])
            owned.append(owners[inside])
    return np.concatenate(places) @ cell, np.concatenate(owned)
