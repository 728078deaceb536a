"""The smallest cell that repeats in a crystal, chosen the same however the crystal is described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.cell import Cell
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

_SAME_PLACE = 1e-4
"""Å by which an atom may miss the place of its image."""

_SAME_SHIFT = 0.01
"""Distance of two shifts that are the same, times the number of those that there may be."""

_TRIED_FIRST = 8
"""Atoms that show of most vectors that they are no translation."""


@dataclass(frozen=True, eq=False)
class PrimitiveCell:
    """The cell of a crystal's own lattice.

    Attributes:
        vectors: (3, 3) Å, right-handed and reduced (P. Niggli; I. Krivy and B. Gruber, Acta Cryst.
            A 32, 297 (1976)): turned with the crystal, but the same for its supercells and other
            choices of the cell.
        atoms: numbers of those atoms that stand for all of their images.
        count: how many such cells the given one holds.
    """

    vectors: FloatArray
    atoms: IntegerArray
    count: int

    @property
    def axes(self) -> FloatArray:
        """Three orthogonal directions that turn with the vectors, rows of (3, 3)."""
        across, along = np.linalg.qr(self.vectors.T)
        axes: FloatArray = (across * np.sign(np.diag(along))).T
        return axes


def primitive_cell(atoms: Atoms) -> PrimitiveCell:
    """Return the primitive cell of a structure that is periodic along all three cell vectors."""
    scaled = _within_cell(atoms.get_scaled_positions())
    shifts = _translations(scaled, atoms.numbers, atoms.cell.array)
    count = len(shifts)
    # The order of each translation divides their number, so these are whole numbers.
    whole = np.rint(shifts * count).astype(np.int64)
    rows = np.concatenate([count * np.eye(3, dtype=np.int64), whole])
    vectors = _reduced(_basis(rows) / count @ atoms.cell.array)
    return PrimitiveCell(vectors, _representatives(scaled, whole / count), count)


def _within_cell(scaled: FloatArray) -> FloatArray:
    wrapped = scaled % 1.0
    wrapped[wrapped >= 1.0] = 0.0  # of tiny negative numbers
    return wrapped


def _tree(scaled: FloatArray) -> cKDTree:
    from scipy.spatial import cKDTree  # which molecules need not wait for

    return cKDTree(scaled, boxsize=1.0)


def _translations(scaled: FloatArray, numbers: IntegerArray, cell: FloatArray) -> FloatArray:
    """Return all shifts (n, 3), in [0, 1) of the cell, that leave a structure as it is."""
    tree = _tree(scaled)

    def lead_to_images(shifts: FloatArray, some: slice) -> NDArray[np.bool_]:
        moved = _within_cell(scaled[None, some] + shifts[:, None])
        nearest = tree.query(moved)[1]
        missed = moved - scaled[nearest]
        missed -= np.rint(missed)
        close = np.linalg.norm(missed @ cell, axis=2) < _SAME_PLACE
        same: NDArray[np.bool_] = (close & (numbers[nearest] == numbers[some])).all(axis=1)
        return same

    kinds, counts = np.unique(numbers, return_counts=True)
    rarest = np.flatnonzero(numbers == kinds[np.argmin(counts)])
    shifts = _within_cell(scaled[rarest[1:]] - scaled[rarest[0]])
    shifts = shifts[lead_to_images(shifts, slice(_TRIED_FIRST))]
    known = np.zeros((1, 3))
    while len(shifts):
        shift, shifts = shifts[0], shifts[1:]
        if lead_to_images(shift[None], slice(None))[0]:
            known = _with_multiples(known, shift)
            shifts = shifts[_distances(shifts, known) > _SAME_SHIFT / len(scaled)]
    return known


def _distances(shifts: FloatArray, known: FloatArray) -> FloatArray:
    """Return how far from the nearest known one each shift is, in parts of the cell."""
    found: FloatArray = _tree(known).query(shifts)[0]
    return found


def _with_multiples(known: FloatArray, shift: FloatArray) -> FloatArray:
    """Return the group of translations that a new one makes with those known."""
    parts, multiple = [known], shift
    while _distances(multiple[None], known)[0] > _SAME_SHIFT / len(known):
        parts.append(known + multiple)
        multiple = _within_cell(multiple + shift)
    return _within_cell(np.concatenate(parts))


def _basis(rows: IntegerArray) -> IntegerArray:
    """Return a basis (3, 3) of all whole combinations of whole vectors (n, 3), by Euclid."""
    rest, basis = rows.copy(), []
    for column in range(3):
        while True:
            nonzero = np.flatnonzero(rest[:, column])
            pivot = nonzero[np.argmin(np.abs(rest[nonzero, column]))]
            chosen = rest[pivot].copy()
            rest -= (rest[:, column] // chosen[column])[:, None] * chosen
            rest[pivot] = chosen
            if np.count_nonzero(rest[:, column]) == 1:
                break
        basis.append(chosen)
        rest = np.delete(rest, pivot, axis=0)
    return np.array(basis)


def _reduced(vectors: FloatArray) -> FloatArray:
    try:
        change = Cell(vectors).niggli_reduce()[1]
    except RuntimeError:  # it did not come to an end
        change = np.eye(3)
    reduced = np.asarray(change.T @ vectors, dtype=np.float64)
    return reduced if np.linalg.det(reduced) > 0 else -reduced


def _representatives(scaled: FloatArray, shifts: FloatArray) -> IntegerArray:
    """Return the first atom of each set of images."""
    if len(shifts) == 1:
        return np.arange(len(scaled))
    tree = _tree(scaled)
    first, seen = [], np.zeros(len(scaled), dtype=bool)
    for atom in range(len(scaled)):
        if not seen[atom]:
            seen[tree.query(_within_cell(scaled[atom] + shifts))[1]] = True
            first.append(atom)
    return np.array(first)
