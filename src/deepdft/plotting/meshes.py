"""Isosurfaces as triangles: interpolated between grid points, closed over periodic faces.

Pictures of every kind (files, notebooks, the page) take their surfaces from here. A grid of N
points along a periodic axis has N intervals: the layer behind the last one is the first one again.
Along other axes there are N - 1, and a surface that reaches the last layer ends there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.extras import import_extra
from deepdft.fields.resampled import fractional, periodic_axes
from deepdft.plotting.averages import averaged
from deepdft.plotting.refinement import refined

Window = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]
"""First and last fraction of the box along each axis."""

ONE_CELL: Window = ((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))

MAX_POINTS = 500_000
"""Grid points that a surface is made from at most; larger grids are averaged over blocks."""

_NEGATIVE_SHARE = 0.01
"""Of the largest magnitude that a negative value must exceed for a negative lobe to be drawn."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """Triangles of an isosurface.

    Attributes:
        level: the value on the surface, in the unit of the field.
        vertices: (n, 3) corners, Å.
        normals: (n, 3) unit vectors that point out of the surface: to smaller magnitudes.
        faces: (m, 3) numbers of corners, counter-clockwise seen from outside.
        values: (n,) a second field at the corners, or None.
    """

    level: float
    vertices: FloatArray
    normals: FloatArray
    faces: IntegerArray
    values: FloatArray | None = None

    @property
    def area(self) -> float:
        """Area of all triangles, Å^2."""
        return float(np.linalg.norm(self._cross(), axis=1).sum()) / 2

    @property
    def volume(self) -> float:
        """Volume inside, Å^3; meaningful for a closed surface only."""
        first = self.vertices[self.faces[:, 0]]
        return float((first * self._cross()).sum()) / 6

    def pieces(self, largest: int = 64_000) -> Iterator[Mesh]:
        """Yield the surface in parts of at most `largest` vertices each (16-bit viewers)."""
        if largest < 3:
            raise ConfigurationError(f"A piece of a surface has at least 3 corners, not {largest}.")
        parts = [self.faces]
        while parts:
            faces = parts.pop()
            piece = self.part(faces)
            if len(piece.vertices) > largest:
                half = len(faces) // 2
                parts += [faces[half:], faces[:half]]
            elif len(faces):
                yield piece

    def part(self, faces: IntegerArray) -> Mesh:
        """Return some of the triangles (k, 3), with the corners that they have."""
        used, renumbered = np.unique(faces, return_inverse=True)
        return replace(
            self,
            vertices=self.vertices[used],
            normals=self.normals[used],
            faces=renumbered.reshape(-1, 3),
            values=None if self.values is None else self.values[used],
        )

    def _cross(self) -> FloatArray:
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        result: FloatArray = np.cross(b - a, c - a)
        return result


def isosurface(
    density: Density,
    level: float,
    *,
    colour: Density | None = None,
    window: Window = ONE_CELL,
    max_points: int = MAX_POINTS,
    smooth: bool = False,
) -> Mesh:
    """Return the surface on which a field on a grid has a value.

    Marching cubes with linear interpolation along the edges of the voxels. Without such a surface
    the mesh is empty.

    Args:
        density: the field; along the periodic axes of its grid it repeats.
        level: the value; negative ones enclose what is below.
        colour: a second field on the same grid, interpolated at the corners.
        window: what to draw of the box, as fractions of its edges; along periodic axes it may
            reach further, as (-0.25, 1.25). Ends are moved to the next layer of points outwards.
        max_points: larger grids are averaged over blocks first.
        smooth: put points between those of a small grid, by cubic splines, see `refined`.

    Raises:
        ConfigurationError: if the second field is on another grid, or the window is empty.
        MissingDependencyError: if scikit-image is not installed.
    """
    if colour is not None and not colour.grid.is_close(density.grid):
        raise ConfigurationError(
            f"The surface is of a field on {_shape(density.grid)} points, its colours are on "
            f"{_shape(colour.grid)} or in another box; resample one of them first."
        )
    measure = import_extra("skimage.measure", "An isosurface")
    periodic = periodic_axes(density)
    values, grid = averaged(density.values, density.grid, max_points)
    first, padded = _window(values, periodic, window)
    if min(padded.shape) < 2 or not padded.min() < level < padded.max():
        nowhere = np.empty((0, 3))
        colours = None if colour is None else np.empty(0)
        return Mesh(level, nowhere, nowhere, np.empty((0, 3), np.int64), colours)
    direction = "ascent" if level >= 0 else "descent"
    factor = 1
    if smooth:
        corner, factor, padded = refined(padded, level)
        first = first + corner
    places, faces, _, _ = measure.marching_cubes(padded, level, gradient_direction=direction)
    slopes = np.stack([_at(np.gradient(padded, axis=axis), places) for axis in range(3)], axis=1)
    places = places / factor
    normals = slopes @ np.linalg.inv(grid.voxel).T * (-1.0 if level >= 0 else 1.0)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-300)
    vertices = grid.origin + (places + first) @ grid.voxel
    if np.linalg.det(grid.cell) < 0:
        faces = faces[:, ::-1]
    mesh = Mesh(level, vertices, normals, np.ascontiguousarray(faces, dtype=np.int64))
    return mesh if colour is None else replace(mesh, values=interpolated(colour, vertices))


def lobes(
    density: Density,
    level: float,
    *,
    window: Window = ONE_CELL,
    max_points: int = MAX_POINTS,
    smooth: bool = False,
) -> list[Mesh]:
    """Return the surface at `level` and, where the field has negative values, that at `-level`.

    A negative lobe is drawn only where the smallest value is below -1 % of the largest magnitude:
    the ripples of a density around zero are none.

    Raises:
        ConfigurationError: as `isosurface`.
    """
    levels = [abs(level)]
    if has_negative_lobe(density.values):
        levels.append(-abs(level))
    return [
        isosurface(density, value, window=window, max_points=max_points, smooth=smooth)
        for value in levels
    ]


def has_negative_lobe(values: NDArray[np.floating[Any]]) -> bool:
    """Return whether the smallest value is below -1 % of the largest magnitude."""
    lowest, highest = float(values.min()), float(values.max())
    return lowest < -_NEGATIVE_SHARE * max(abs(lowest), abs(highest))


def interpolated(density: Density, points: FloatArray) -> FloatArray:
    """Return a field on a grid at points (n, 3) in Å, interpolated linearly, (n,).

    Along periodic axes the points are folded back; along others they are moved into the box.
    """
    grid = density.grid
    places = fractional(grid, points) * grid.shape
    values = density.values
    for axis, repeats in enumerate(periodic_axes(density)):
        if repeats:
            places[:, axis] %= grid.shape[axis]
            values = np.concatenate([values, values.take([0], axis=axis)], axis=axis)
    return _at(values, places)


def _window(
    values: FloatArray, periodic: tuple[bool, bool, bool], window: Window
) -> tuple[FloatArray, FloatArray]:
    """Return the layer at which the window begins along each axis, and the values in it."""
    first = np.zeros(3)
    for axis, (repeats, (low, high)) in enumerate(zip(periodic, window, strict=True)):
        count = values.shape[axis]
        if not (np.isfinite([low, high]).all() and low < high):
            raise ConfigurationError(f"A window from {low} to {high} of the box is empty.")
        begin, end = int(np.floor(low * count + 1e-9)), int(np.ceil(high * count - 1e-9))
        if not repeats:
            begin, end = min(max(begin, 0), count - 1), min(max(end, 0), count - 1)
        first[axis] = begin
        layers = np.arange(begin, end + 1) % count
        if len(layers) != count or begin:
            values = values.take(layers, axis=axis)
    return first, values


def _at(values: NDArray[np.floating[Any]], places: FloatArray) -> FloatArray:
    from scipy.ndimage import map_coordinates

    result: FloatArray = map_coordinates(
        values, np.asarray(places).T, order=1, mode="nearest", output=np.float64
    )
    return result


def _shape(grid: Grid) -> str:
    return " x ".join(map(str, grid.shape))
