"""Periodic images close to the atoms in the cell."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree


class Pairs(NamedTuple):
    """Pairs of atoms, each once; an atom and its own image are a pair as well.

    Attributes:
        first: (n,) index of an atom.
        second: (n,) index of an atom.
        shifts: (n, 3) cells between the second one and the one that is meant.
        distances: (n,) Å.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    shifts: NDArray[np.int64]
    distances: NDArray[np.float64]


def near_pairs(atoms: Atoms, reach: float) -> Pairs:
    """Return all pairs of atoms up to `reach` (Å) apart; no atom is too far from another.

    Args:
        atoms: the structure; a cell vector along which it is not periodic may be zero.
        reach: Å.
    """
    n = len(atoms)
    positions, owners, shifts = _with_images(atoms, reach)
    found = cKDTree(positions).query_pairs(reach, output_type="ndarray").reshape(-1, 2)
    # The atoms in the cell come first: of a pair, the first one is among them.
    found = np.sort(found, axis=1)
    found = found[found[:, 0] < n]
    distances = np.linalg.norm(positions[found[:, 0]] - positions[found[:, 1]], axis=1)
    # `shifts` count from where atoms are to where their images are.
    between = shifts[found[:, 1]] - shifts[found[:, 0]]
    first, second = owners[found[:, 0]], owners[found[:, 1]]
    # A pair with an image is found from both sides.
    once = (found[:, 1] < n) | (first < second)
    own = (found[:, 1] >= n) & (first == second)
    nonzero = between[np.arange(len(between)), (between != 0).argmax(axis=1)]
    once |= own & (nonzero > 0)
    return Pairs(first[once], second[once], between[once], distances[once])


def _with_images(
    atoms: Atoms, reach: float
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.int64]]:
    """Return atoms moved into the cell, then images within reach of it; owners and cells moved."""
    n = len(atoms)
    owners = np.arange(n)
    if not atoms.pbc.any():
        return atoms.positions, owners, np.zeros((n, 3), dtype=np.int64)
    cell = atoms.cell.complete().array
    inverse = np.linalg.inv(cell)
    fractional = atoms.positions @ inverse
    into = np.where(atoms.pbc, -np.floor(fractional), 0.0)
    fractional = fractional + into
    margin = np.where(atoms.pbc, reach * np.linalg.norm(inverse, axis=0), 0.0)
    shells = np.ceil(margin).astype(int)
    places, owned, moves = [fractional], [owners], [into]
    for shift in itertools.product(*(range(-s, s + 1) for s in shells)):
        if any(shift):
            moved = fractional + np.array(shift)
            inside = ((moved >= -margin) & (moved <= 1 + margin))[:, atoms.pbc].all(axis=1)
            places.append(moved[inside])
            owned.append(owners[inside])
            moves.append(into[inside] + np.array(shift))
    shifts = np.concatenate(moves).astype(np.int64)
    return np.concatenate(places) @ cell, np.concatenate(owned), shifts
