"""Fewer grid points for a picture: averages over blocks that keep the integral."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from deepdft.arrays import FloatArray
from deepdft.density import Grid


def averaged(
    values: NDArray[np.floating[Any]], grid: Grid, max_points: int
) -> tuple[FloatArray, Grid]:
    """Return values on about `max_points` points at most, and their grid over the same box.

    A point stands for the box of one voxel around it. Each new one gets the mean over its own,
    larger box, with parts of voxels where they do not divide: the integral stays what it was, and
    periodic values stay periodic.

    Args:
        values: (nx, ny, nz).
        grid: where they are.
        max_points: more points than these are averaged.
    """
    result = np.asarray(values, dtype=np.float64)
    ratio = (grid.n_points / max(max_points, 1)) ** (1 / 3)
    if ratio <= 1:
        return result, grid
    origin = grid.origin.copy()
    shape = []
    for axis, old in enumerate(grid.shape):
        new = max(1, int(old / ratio))
        moved = np.moveaxis(result, axis, 0)
        rows = _overlaps(old, new) @ moved.reshape(old, -1)
        result = np.moveaxis(rows.reshape(new, *moved.shape[1:]), 0, axis)
        origin += (old / new - 1) / 2 * grid.voxel[axis]
        shape.append(new)
    return result, replace(grid, shape=(shape[0], shape[1], shape[2]), origin=origin)


def _overlaps(old: int, new: int) -> csr_array:
    """Return the (new, old) weights of old layers in the mean that each new layer is."""
    edges = np.union1d(np.arange(old + 1) / old, np.arange(new + 1) / new)
    widths, middles = np.diff(edges), (edges[1:] + edges[:-1]) / 2
    rows = np.minimum((middles * new).astype(np.int64), new - 1)
    columns = np.minimum((middles * old).astype(np.int64), old - 1)
    return csr_array((widths * new, (rows, columns)), shape=(new, old))
