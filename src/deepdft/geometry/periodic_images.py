"""Periodic images of atoms near a box."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.errors import ConfigurationError, UnsupportedStructureError

_ROUNDING = 1e-9
"""Slack on fractional coordinates; what it lets through too much is removed by distance."""


class Images(NamedTuple):
    """Image atoms near a box, ordered by atom and then by shift.

    Attributes:
        atoms: (m,) index of the atom that each image is a copy of.
        shifts: (m, 3) number of cell vectors by which it is moved; zero where not periodic.
        positions: (m, 3) ``positions[atoms] + shifts @ cell``, Å.
    """

    atoms: IntegerArray
    shifts: IntegerArray
    positions: FloatArray


def images_in_reach(
    positions: ArrayLike,
    cell: ArrayLike,
    pbc: Any,
    lower: ArrayLike,
    upper: ArrayLike,
    cutoff: float,
) -> Images:
    """Return every image atom whose distance to an axis-aligned box is at most `cutoff`.

    Atoms may lie outside the cell, the cell may be smaller than the cutoff, and the vector of a
    direction that is not periodic may be zero.

    Args:
        positions: (n, 3) atoms, Å.
        cell: (3, 3) cell vectors as rows, Å.
        pbc: periodicity along each cell vector, one or three booleans.
        lower: (3,) smallest Cartesian coordinates of the box, Å.
        upper: (3,) largest Cartesian coordinates of the box, Å.
        cutoff: reach, Å.

    Raises:
        ConfigurationError: if the cutoff is negative or not finite.
        UnsupportedStructureError: if the periodic cell vectors are not linearly independent.
    """
    positions = np.asarray(positions, dtype=np.float64).reshape(-1, 3)
    cell = np.asarray(cell, dtype=np.float64)
    lower = np.asarray(lower, dtype=np.float64)
    upper = np.asarray(upper, dtype=np.float64)
    if not 0 <= cutoff < np.inf:
        raise ConfigurationError(f"The cutoff must be finite and not negative, not {cutoff} Å.")
    periodic = np.flatnonzero(np.broadcast_to(np.asarray(pbc, dtype=bool), 3))
    if len(periodic) == 0:
        atoms = np.flatnonzero(_squared_distance(positions, lower, upper) <= cutoff * cutoff)
        return Images(atoms, np.zeros((len(atoms), 3), dtype=np.int64), positions[atoms])
    atoms, counted = _candidates(positions, cell[periodic], lower, upper, cutoff)
    shifts = np.zeros((len(atoms), 3), dtype=np.int64)
    shifts[:, periodic] = counted
    images = positions[atoms] + shifts @ cell
    near = np.flatnonzero(_squared_distance(images, lower, upper) <= cutoff * cutoff)
    return Images(atoms[near], shifts[near], images[near])


def _squared_distance(points: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """Return the squared distance from each point to the box, zero inside it."""
    outside = points - np.minimum(np.maximum(points, lower), upper)
    result: FloatArray = np.einsum("ij,ij->i", outside, outside)
    return result


def _candidates(
    positions: FloatArray, vectors: FloatArray, lower: FloatArray, upper: FloatArray, cutoff: float
) -> tuple[IntegerArray, IntegerArray]:
    """Return atoms (m,) and shifts (m, k) along the k periodic vectors that may be in reach.

    A point's fractional coordinate along a vector is its product with a dual vector b, so that of
    the points within the cutoff of the box spans ``centre.b ± (half_width.|b| + cutoff ||b||)``.
    """
    dual = dual_vectors(vectors)
    centre = 0.5 * (lower + upper) @ dual
    half = 0.5 * (upper - lower) @ np.abs(dual) + cutoff * np.sqrt((dual * dual).sum(axis=0))
    offset = centre - positions @ dual
    first = np.ceil(offset - half - _ROUNDING).astype(np.int64)
    counts = np.maximum(np.floor(offset + half + _ROUNDING).astype(np.int64) - first + 1, 0)
    per_atom = counts.prod(axis=1)
    atoms = np.repeat(np.arange(len(positions)), per_atom)
    # Number of an image among those of its atom, then its digits, the last direction fastest.
    number = np.arange(len(atoms)) - np.repeat(np.cumsum(per_atom) - per_atom, per_atom)
    shifts = np.empty((len(atoms), len(vectors)), dtype=np.int64)
    for direction in range(len(vectors) - 1, 0, -1):
        number, shifts[:, direction] = np.divmod(number, counts[atoms, direction])
    shifts[:, 0] = number
    shifts += first[atoms]
    return atoms, shifts


def dual_vectors(vectors: FloatArray) -> FloatArray:
    """Return (3, k) columns b with ``vectors @ b`` the identity, in the span of the vectors.

    Args:
        vectors: (k, 3) cell vectors of the periodic directions, Å.

    Raises:
        UnsupportedStructureError: if they are not finite or not linearly independent.
    """
    if not np.isfinite(vectors).all():
        raise UnsupportedStructureError(
            "The structure is periodic along cell vectors that are not finite "
            f"({vectors.tolist()}); give it a cell."
        )
    gram = vectors @ vectors.T
    lengths = np.sqrt(np.diagonal(gram))
    if not (lengths > 0).all() or np.linalg.det(gram) < 1e-12 * (lengths**2).prod():
        raise UnsupportedStructureError(
            "The structure is periodic along cell vectors that are zero or not linearly "
            f"independent ({vectors.tolist()}); give it a cell or switch off its periodicity."
        )
    result: FloatArray = vectors.T @ np.linalg.inv(gram)
    return result
