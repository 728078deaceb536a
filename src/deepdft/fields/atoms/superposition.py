"""Sum of tabulated spherical functions at many points, by bins of atoms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]
Box = tuple[tuple[int, int, int], tuple[int, int, int]]


def superpose(
    points: FloatArray,
    centres: FloatArray,
    species: IntegerArray,
    polynomials: NDArray[np.floating[Any]],
    spacing: float,
) -> NDArray[np.floating[Any]]:
    """Return ``sum_a f_species[a](|r - R_a|)`` at every point r.

    Args:
        points: (n, 3) Å.
        centres: (m, 3) atoms and images, Å.
        species: (m,) table of each centre.
        polynomials: (tables, k, 6) quintic of each interval; the precision of the computation
            beyond distances follows from the dtype.
        spacing: length of an interval, Å; functions vanish from k intervals on.

    Returns:
        (n,) in the dtype of `polynomials`.
    """
    result = np.zeros(len(points), dtype=polynomials.dtype)
    if len(centres) == 0:
        return result
    cutoff = spacing * polynomials.shape[1]
    lower = centres.min(axis=0)
    extent = centres.max(axis=0) - lower
    # Bins at least as wide as the cutoff, and no more of them than a few times the atoms.
    edge = max(cutoff, float(np.cbrt(np.prod(np.maximum(extent, cutoff)) / (4 * len(centres)))))
    counts = np.floor(extent / edge).astype(np.int64) + 1
    bins = np.minimum(((centres - lower) / edge).astype(np.int64), counts - 1)
    number = (bins[:, 0] * counts[1] + bins[:, 1]) * counts[2] + bins[:, 2]
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(counts.prod() + 1))
    _sum(
        points,
        centres[order],
        species[order],
        starts,
        lower,
        edge,
        counts,
        polynomials,
        spacing,
        result,
    )
    return result


@numba.njit(nogil=True, cache=True, fastmath={"contract", "nsz"})
def _sum(
    points: Any,
    centres: Any,
    species: Any,
    starts: Any,
    lower: Any,
    edge: float,
    counts: Any,
    polynomials: Any,
    spacing: float,
    result: Any,
) -> None:
    inverse = 1.0 / spacing
    intervals = polynomials.shape[1]
    limit = (spacing * intervals) ** 2
    for point in range(points.shape[0]):
        x, y, z = points[point, 0], points[point, 1], points[point, 2]
        first_x = max(int(np.floor((x - lower[0]) / edge)) - 1, 0)
        last_x = min(int(np.floor((x - lower[0]) / edge)) + 1, counts[0] - 1)
        first_y = max(int(np.floor((y - lower[1]) / edge)) - 1, 0)
        last_y = min(int(np.floor((y - lower[1]) / edge)) + 1, counts[1] - 1)
        first_z = max(int(np.floor((z - lower[2]) / edge)) - 1, 0)
        last_z = min(int(np.floor((z - lower[2]) / edge)) + 1, counts[2] - 1)
        total = polynomials.dtype.type(0)
        if first_z <= last_z:
            for i in range(first_x, last_x + 1):
                for j in range(first_y, last_y + 1):
                    row = (i * counts[1] + j) * counts[2]
                    # Bins along z follow one another, so their atoms are one run.
                    for a in range(starts[row + first_z], starts[row + last_z + 1]):
                        dx = x - centres[a, 0]
                        dy = y - centres[a, 1]
                        dz = z - centres[a, 2]
                        square = dx * dx + dy * dy + dz * dz
                        if square < limit:
                            scaled = np.sqrt(square) * inverse
                            interval = min(int(scaled), intervals - 1)
                            t = polynomials.dtype.type(scaled - interval)
                            c = polynomials[species[a], interval]
                            total += c[0] + t * (
                                c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5])))
                            )
        result[point] = total


def boxes(first: Sequence[int], last: Sequence[int], max_points: int) -> Iterator[Box]:
    """Yield index boxes that tile first..last, each of at most about `max_points` points."""
    edge = max(1, round(max_points ** (1 / 3)))
    ranges = [range(low, high, edge) for low, high in zip(first, last, strict=True)]
    for corner in product(*ranges):
        far = [min(low + edge, high) for low, high in zip(corner, last, strict=True)]
        yield (corner[0], corner[1], corner[2]), (far[0], far[1], far[2])
