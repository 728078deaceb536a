"""Points between those of a grid, so that small surfaces have no corners in large pictures."""

from __future__ import annotations

import numpy as np

from deepdft.arrays import FloatArray

FINE_POINTS = 1_500_000
"""Points of a refined grid at most."""

_MARGIN = 2
"""Layers kept around what a surface encloses."""

_MOST = 4
"""Intervals that one becomes at most."""


def refined(values: FloatArray, level: float) -> tuple[FloatArray, int, FloatArray]:
    """Return the part of a field that a surface encloses with points put between its own.

    Cubic splines go through the values; the surface stays where it was to the order of the fourth
    power of the spacing. The number of new points is what `FINE_POINTS` allows.

    Args:
        values: (nx, ny, nz) of the field.
        level: the value on the surface; it lies between the smallest and the largest one.

    Returns:
        The layer at which the part begins along each axis, (3,); in how many intervals one was
        divided; the values.
    """
    from scipy.ndimage import zoom

    inside = values >= level if level >= 0 else values <= level
    corner, ends = np.zeros(3, dtype=np.int64), np.array(values.shape)
    for axis in range(3):
        layers = np.flatnonzero(
            inside.any(axis=tuple(other for other in range(3) if other != axis))
        )
        corner[axis] = max(layers[0] - _MARGIN, 0)
        ends[axis] = min(layers[-1] + 1 + _MARGIN, values.shape[axis])
    part = values[tuple(slice(low, high) for low, high in zip(corner, ends, strict=True))]
    for factor in range(_MOST, 1, -1):
        shape = [(count - 1) * factor + 1 for count in part.shape]
        if np.prod(shape) <= FINE_POINTS:
            ratios = [new / old for new, old in zip(shape, part.shape, strict=True)]
            fine = zoom(part.astype(np.float64), ratios, order=3, mode="nearest", grid_mode=False)
            return corner.astype(np.float64), factor, fine
    return corner.astype(np.float64), 1, part
