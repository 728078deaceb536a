"""Image atoms near a block of probes, from one cell list."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import compiled, inner
from deepdft.geometry.periodic_images import images_in_reach


class NeighbourhoodSearch:
    """Finds the image atoms within a cutoff of any box inside a region.

    All images that reach the region are listed once and sorted into cubic bins; a query looks at
    the bins that its box touches.

    Args:
        atoms: the structure.
        lower: (3,) smallest coordinates of the region, Å.
        upper: (3,) largest coordinates of the region, Å.
        cutoff: reach of an atom, Å.
    """

    def __init__(self, atoms: Atoms, lower: FloatArray, upper: FloatArray, cutoff: float) -> None:
        images = images_in_reach(atoms.positions, atoms.cell, atoms.pbc, lower, upper, cutoff)
        self.cutoff = cutoff
        self._atoms = images.atoms
        self._positions = images.positions
        self._origin = lower - cutoff
        extent = np.maximum(upper - lower + 2 * cutoff, 1e-6)
        # No finer than the cutoff, and no more bins than a few times the images.
        largest = max(1, int(np.ceil((4 * len(images.atoms) + 1) ** (1 / 3))))
        self._counts = np.clip((extent / cutoff).astype(np.int64), 1, largest)
        self._width = extent / self._counts
        index = np.floor((self._positions - self._origin) / self._width).astype(np.int64)
        index = np.clip(index, 0, self._counts - 1)
        flat = np.ravel_multi_index(tuple(index.T), tuple(self._counts))
        self._order = np.argsort(flat, kind="stable")
        n_bins = int(np.prod(self._counts))
        self._starts = np.searchsorted(flat[self._order], np.arange(n_bins + 1))

    def near(self, lower: FloatArray, upper: FloatArray) -> tuple[IntegerArray, FloatArray]:
        """Return the images within the cutoff of the box [lower, upper].

        Returns:
            Atom indices (m,) and positions (m, 3) in Å, always in the same relative order.
        """
        atoms, positions = _near(
            lower, upper, self.cutoff, self._origin, self._width, self._counts, self._starts,
            self._order, self._atoms, self._positions,
        )  # fmt: skip
        return atoms, positions

    def near_points(self, points: FloatArray) -> tuple[IntegerArray, FloatArray]:
        """Return the images within the cutoff of the box around points (n, 3), as `near`."""
        lower, upper = _box_around(points)
        return self.near(lower, upper)

    def occupied(self, lower: FloatArray, upper: FloatArray) -> NDArray[np.bool_]:
        """Return which of many boxes may have an image within the cutoff.

        Args:
            lower: (n, 3) smallest coordinates, Å; rounding errors up to 1e-9 are allowed for.
            upper: (n, 3) largest coordinates, Å.

        Returns:
            (n,), false only for boxes that `near` would find nothing for.
        """
        result = np.zeros(len(lower), np.bool_)
        _occupied(
            lower, upper, self.cutoff + 1e-9, self._origin, self._width, self._counts,
            self._starts, self._order, self._positions, result,
        )  # fmt: skip
        return result


@compiled
def _box_around(points: Any) -> Any:
    lower, upper = points[0].copy(), points[0].copy()
    for p in range(1, points.shape[0]):
        for x in range(3):
            lower[x] = min(lower[x], points[p, x])
            upper[x] = max(upper[x], points[p, x])
    return lower, upper


@inner
def _bin_of(coordinate: float, origin: float, width: float, count: int) -> int:
    # Clipped before it becomes an integer: a coordinate may be beyond what one can hold.
    number: int = int(min(max(np.floor((coordinate - origin) / width), 0.0), count - 1.0))
    return number


@inner
def _squared_gap(position: Any, lower: Any, upper: Any) -> float:
    """Squared distance from a position to a box."""
    square = 0.0
    for x in range(3):
        gap = max(0.0, lower[x] - position[x], position[x] - upper[x])
        square += gap * gap
    return square


@compiled
def _near(
    lower: Any, upper: Any, cutoff: float, origin: Any, width: Any, counts: Any, starts: Any,
    order: Any, atoms: Any, positions: Any,
) -> Any:  # fmt: skip
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for x in range(3):
        low[x] = _bin_of(lower[x] - cutoff, origin[x], width[x], counts[x])
        high[x] = _bin_of(upper[x] + cutoff, origin[x], width[x], counts[x])
    largest = 0
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            row = (i * counts[1] + j) * counts[2]
            largest += starts[row + high[2] + 1] - starts[row + low[2]]
    found = np.empty(largest, np.int64)
    count = 0
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            row = (i * counts[1] + j) * counts[2]
            for a in range(starts[row + low[2]], starts[row + high[2] + 1]):
                if _squared_gap(positions[order[a]], lower, upper) < cutoff * cutoff:
                    found[count] = order[a]
                    count += 1
    # Sorted, so that sums over atoms have the same order in every block.
    found = np.sort(found[:count])
    return atoms[found], positions[found]


@compiled
def _occupied(
    lower: Any, upper: Any, cutoff: float, origin: Any, width: Any, counts: Any, starts: Any,
    order: Any, positions: Any, result: Any,
) -> None:  # fmt: skip
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for box in range(lower.shape[0]):
        for x in range(3):
            low[x] = _bin_of(lower[box, x] - cutoff, origin[x], width[x], counts[x])
            high[x] = _bin_of(upper[box, x] + cutoff, origin[x], width[x], counts[x])
        result[box] = _any_near(
            lower[box], upper[box], cutoff * cutoff, low, high, counts, starts, order, positions
        )


@inner
def _any_near(
    lower: Any, upper: Any, limit: float, low: Any, high: Any, counts: Any, starts: Any,
    order: Any, positions: Any,
) -> bool:  # fmt: skip
    for i in range(low[0], high[0] + 1):
        for j in range(low[1], high[1] + 1):
            row = (i * counts[1] + j) * counts[2]
            for a in range(starts[row + low[2]], starts[row + high[2] + 1]):
                if _squared_gap(positions[order[a]], lower, upper) < limit:
                    return True
    return False


def moved_into_cell(points: FloatArray, atoms: Atoms) -> FloatArray:
    """Return points (n, 3) moved by whole periods to where the cell is, Å."""
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) == 0:
        return points
    vectors = np.asarray(atoms.cell)[periodic]
    periods = np.floor(points @ np.linalg.pinv(vectors))
    result: FloatArray = points - periods @ vectors
    return result
