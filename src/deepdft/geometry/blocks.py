"""How grids and lists of points are cut into blocks of probes that lie near each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import FloatArray, Index, IntegerArray
from deepdft.compilation import compiled
from deepdft.density import Grid

_THIN = 4
"""A box is thin where a block is this many times as long."""

_POINT_BIN = 3.0
"""Edge of the boxes into which a list of points is sorted, Å."""


def block_shape(grid: Grid, points: int, extent: Sequence[int] | None = None) -> Index:
    """Return the points along each axis of a block that is about as long as wide in Å.

    Args:
        grid: the points.
        points: of a block, about.
        extent: points along each axis of the box that is cut into blocks. If it is much thinner
            than a block, blocks are longer along its other axes.
    """
    lengths = np.linalg.norm(grid.voxel, axis=1)
    edge = (points * float(np.prod(lengths))) ** (1 / 3)
    shape = np.clip(np.rint(edge / lengths), 1, grid.shape).astype(int)
    if extent is not None and (_THIN * np.array(extent) <= shape).any():
        shape = np.clip(np.rint(cubic_counts(grid, points, extent)), 1, extent).astype(int)
    return int(shape[0]), int(shape[1]), int(shape[2])


def cubic_counts(grid: Grid, points: int, extent: Sequence[int]) -> list[float]:
    """Return the points along each axis of a cube of `points` points; longer where thin."""
    lengths = np.linalg.norm(grid.voxel, axis=1)
    counts = [float(n) for n in extent]
    free = [0, 1, 2]
    while free:
        left = points / math.prod(counts[axis] for axis in range(3) if axis not in free)
        edge = (left * math.prod(lengths[free])) ** (1 / len(free))
        shorter = [axis for axis in free if edge / lengths[axis] >= extent[axis]]
        if not shorter:
            for axis in free:
                counts[axis] = max(1.0, edge / lengths[axis])
            break
        free = [axis for axis in free if axis not in shorter]
    return counts


class GridBlocks(NamedTuple):
    """Blocks that tile an index box of a grid.

    Attributes:
        first: (blocks, 3) first index along each axis.
        last: (blocks, 3) last index + 1.
        lower: (blocks, 3) smallest coordinates of a block's points, Å, to within rounding.
        upper: (blocks, 3) largest coordinates, Å.
    """

    first: IntegerArray
    last: IntegerArray
    lower: FloatArray
    upper: FloatArray


def grid_blocks(grid: Grid, start: Index, stop: Index, shape: Index) -> GridBlocks:
    """Tile the index box start:stop of a grid by blocks of at most `shape` points."""
    axes = [np.arange(a, b, n) for a, b, n in zip(start, stop, shape, strict=True)]
    first = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)
    last = np.minimum(first + np.array(shape), np.array(stop))
    # From the first point of a block, each axis adds between zero and its whole edge.
    corner = grid.origin + first @ grid.voxel
    edges = (last - 1 - first)[:, :, None] * grid.voxel
    return GridBlocks(
        first, last, corner + np.minimum(edges, 0.0).sum(axis=1),
        corner + np.maximum(edges, 0.0).sum(axis=1),
    )  # fmt: skip


def block_points(grid: Grid, first: IntegerArray, last: IntegerArray) -> FloatArray:
    """Return ``grid.points(first, last)`` as (n, 3), to the last bit."""
    result = np.empty((int(np.prod(last - first)), 3))
    _fill_points(grid.origin, grid.cell, np.array(grid.shape), first, last, result)
    return result


@compiled
def _fill_points(origin: Any, cell: Any, shape: Any, first: Any, last: Any, points: Any) -> None:
    p = 0
    for i in range(first[0], last[0]):
        a = i / shape[0]
        for j in range(first[1], last[1]):
            b = j / shape[1]
            for k in range(first[2], last[2]):
                c = k / shape[2]
                for x in range(3):
                    row = (origin[x] + a * cell[0, x]) + b * cell[1, x]
                    points[p, x] = row + c * cell[2, x]
                p += 1


def spatial_groups(
    points: FloatArray, largest: int, edge: float = _POINT_BIN
) -> list[IntegerArray]:
    """Sort points into cubic bins and cut the bins into groups of at most `largest` points.

    Args:
        points: (n, 3) Å.
        largest: most points of a group.
        edge: of the bins, Å.
    """
    index = np.floor((points - points.min(axis=0)) / edge).astype(np.int64)
    order = np.lexsort(index.T)
    changes = np.flatnonzero((np.diff(index[order], axis=0) != 0).any(axis=1)) + 1
    groups: list[IntegerArray] = []
    for members in np.split(order, changes):
        groups.extend(members[i : i + largest] for i in range(0, len(members), largest))
    return groups
