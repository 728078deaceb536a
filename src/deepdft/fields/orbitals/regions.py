"""How grids and points are cut into the tiles that orbitals are evaluated on."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import compiled
from deepdft.density import Grid
from deepdft.kernels.gaussians.densities import Places
from deepdft.kernels.gaussians.shells import TILE_POINTS

_PLANES = 8
"""Planes of points of a block of a grid."""


class Region(NamedTuple):
    """Where densities are evaluated.

    Attributes:
        places: points or a box of a grid, as compiled code takes them.
        blocks: number of tiles of points or of blocks of the box.
        lower, upper: (3,) box around all, Å.
    """

    places: Places
    blocks: int
    lower: FloatArray
    upper: FloatArray


def point_places(points: FloatArray) -> Region:
    """Return tiles of points (n, 3), Å, in which they are near each other."""
    lower, upper = points.min(axis=0), points.max(axis=0)
    extent = upper - lower
    edge = float(np.cbrt(np.prod(extent + 1.0) * TILE_POINTS / len(points)))
    counts = (extent / edge).astype(np.int64) + 1
    order = np.empty(len(points), np.int64)
    _sort(points, lower, edge, counts, order)
    places = Places(
        points, order, np.zeros(3), np.zeros((3, 3)), np.zeros(3, np.int64),
        np.zeros(3, np.int64), np.zeros(3, np.int64), np.zeros(3),
    )  # fmt: skip
    return Region(places, math.ceil(len(points) / TILE_POINTS), lower, upper)


def box_places(grid: Grid, start: IntegerArray, stop: IntegerArray) -> Region:
    """Return blocks of planes of the index box start:stop of a grid."""
    axes, upright = _axes(grid.voxel)
    shape = stop - start
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    steps, extent = grid.voxel[axes], shape[axes]
    block = _block(extent, np.linalg.norm(steps, axis=1))
    first = grid.origin + start @ grid.voxel
    edges = (shape - 1)[:, None] * grid.voxel
    places = Places(
        np.empty((0, 3)), np.empty(0, np.int64), first, steps, strides[axes], extent, block, upright
    )
    return Region(
        places, int(np.prod(-(-extent // block))), first + np.minimum(edges, 0).sum(axis=0),
        first + np.maximum(edges, 0).sum(axis=0),
    )  # fmt: skip


def _axes(voxel: FloatArray) -> tuple[list[int], FloatArray]:
    """Return the axes of a grid in the order of those of its blocks, and `Places.upright`."""
    unit = voxel / np.linalg.norm(voxel, axis=1, keepdims=True)
    cosines = np.abs(unit @ unit.T - np.eye(3))
    for axis in range(3):
        if cosines[axis].max() < 1e-12:
            return [axis, *(other for other in range(3) if other != axis)], unit[axis]
    return [0, 1, 2], np.zeros(3)


def _block(extent: IntegerArray, lengths: FloatArray) -> IntegerArray:
    """Return the points of a block along its axes, the last two a tile or less together.

    As few tiles as can be, and among them those that are about as long as wide.

    Args:
        extent: (3,) points along each axis.
        lengths: (3,) steps along each axis, Å.
    """
    best, block = math.inf, (1, 1)
    for deep in range(1, TILE_POINTS + 1):
        wide = TILE_POINTS // deep
        tiles = math.ceil(extent[1] / wide) * math.ceil(extent[2] / deep)
        longer = abs(math.log(wide * lengths[1] / (deep * lengths[2])))
        cost = tiles * (1 + 0.1 * longer)
        if cost < best:
            best, block = cost, (wide, deep)
    return np.array([min(_PLANES, int(extent[0])), *block])


@compiled
def _sort(points: Any, lower: Any, edge: float, counts: Any, order: Any) -> None:
    """Sort points by bins that are gone through like a snake, so that neighbours follow."""
    starts = np.zeros(counts[0] * counts[1] * counts[2] + 1, np.int64)
    bins = np.empty(points.shape[0], np.int64)
    for p in range(points.shape[0]):
        i = int((points[p, 0] - lower[0]) / edge)
        j = int((points[p, 1] - lower[1]) / edge)
        k = int((points[p, 2] - lower[2]) / edge)
        row = i * counts[1] + (counts[1] - 1 - j if i % 2 else j)
        bins[p] = row * counts[2] + (counts[2] - 1 - k if row % 2 else k)
        starts[bins[p] + 1] += 1
    for b in range(len(starts) - 1):
        starts[b + 1] += starts[b]
    for p in range(points.shape[0]):
        order[starts[bins[p]]] = p
        starts[bins[p]] += 1
