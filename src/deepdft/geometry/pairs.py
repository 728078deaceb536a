"""Pairs of near atoms in structures of any shape, however far apart their atoms are."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.geometry.periodic_images import dual_vectors

_FEW = 3_000_000
"""Distances that are computed all at once rather than by a tree, whose import takes longer."""


class Pairs(NamedTuple):
    """Pairs of atoms, each once; an atom and its own image are a pair as well.

    Attributes:
        first: (n,) index of an atom.
        second: (n,) index of an atom.
        shifts: (n, 3) cells between the second one and the one that is meant.
        vectors: (n, 3) from the first one to the one that is meant, Å.
        distances: (n,) Å.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    shifts: IntegerArray
    vectors: FloatArray
    distances: FloatArray


def near_pairs(atoms: Atoms, reach: float) -> Pairs:
    """Return all pairs of atoms up to `reach` (Å) apart.

    Args:
        atoms: the structure.
        reach: Å.

    Raises:
        UnsupportedStructureError: if the periodic cell vectors are not linearly independent.
    """
    n = len(atoms)
    positions, owners, shifts = _with_images(atoms, reach)
    # The atoms in the cell come first: of a pair, the first one is among them.
    found = _near(positions, n, reach)
    vectors = positions[found[:, 1]] - positions[found[:, 0]]
    # `shifts` count from where atoms are to where their images are.
    between = shifts[found[:, 1]] - shifts[found[:, 0]]
    first, second = owners[found[:, 0]], owners[found[:, 1]]
    # A pair with an image is found from both sides.
    leading = between[np.arange(len(between)), (between != 0).argmax(axis=1)]
    beyond = found[:, 1] >= n
    once = ~beyond | (first < second) | ((first == second) & (leading > 0))
    distances = np.linalg.norm(vectors, axis=1)
    return Pairs(first[once], second[once], between[once], vectors[once], distances[once])


def _near(positions: FloatArray, n: int, reach: float) -> NDArray[np.intp]:
    """Return pairs (m, 2) of indices, ascending, whose first one is below n."""
    if n * len(positions) > _FEW:
        from scipy.spatial import cKDTree

        found = cKDTree(positions).query_pairs(reach, output_type="ndarray").reshape(-1, 2)
        found = np.sort(found, axis=1)
        return np.asarray(found[found[:, 0] < n])
    square = np.zeros((n, len(positions)))
    for axis in range(3):
        step = positions[:n, None, axis] - positions[None, :, axis]
        square += step * step
    first, second = np.nonzero(square <= reach * reach)
    return np.stack([first, second], axis=1)[first < second]


def _with_images(atoms: Atoms, reach: float) -> tuple[FloatArray, NDArray[np.intp], IntegerArray]:
    """Return atoms moved into the cell, then images within reach of it; owners and cells moved."""
    n = len(atoms)
    owners = np.arange(n)
    shifts = np.zeros((n, 3), dtype=np.int64)
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) == 0:
        return atoms.positions, owners, shifts
    vectors = np.asarray(atoms.cell, dtype=np.float64)[periodic]
    dual = dual_vectors(vectors)
    fractional = atoms.positions @ dual
    into = -np.floor(fractional).astype(np.int64)
    fractional = fractional + into
    margin = reach * np.linalg.norm(dual, axis=0)
    moves, owned = [into], [owners]
    for shift in itertools.product(*(range(-s, s + 1) for s in np.ceil(margin).astype(int))):
        if any(shift):
            moved = fractional + np.array(shift)
            inside = ((moved >= -margin) & (moved <= 1 + margin)).all(axis=1)
            moves.append(into[inside] + np.array(shift))
            owned.append(owners[inside])
    whole, every = np.concatenate(moves), np.concatenate(owned)
    shifts = np.zeros((len(every), 3), dtype=np.int64)
    shifts[:, periodic] = whole
    return atoms.positions[every] + whole @ vectors, every, shifts
