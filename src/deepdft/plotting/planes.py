"""Planes and lines through a density, and the values on them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.fields.resampled import DensityField, fractional, periodic_axes
from deepdft.plotting.scenes import Scene

_MARGIN = 2.0
"""Around the atoms of a molecule, Å."""

_IN_PLANE = 0.1
"""How far from a plane an atom still counts as lying in it, Å."""


@dataclass(frozen=True, eq=False)
class Plane:
    """A rectangle in space.

    Attributes:
        centre: (3,) Å.
        axes: (3, 3) rows are its two directions and its normal.
        half_size: half its two sides, Å.
    """

    centre: FloatArray
    axes: FloatArray
    half_size: tuple[float, float]

    def points(self, spacing: float) -> FloatArray:
        """Return points at most `spacing` Å apart, rows along the second direction, (ny, nx, 3)."""
        counts = [int(np.ceil(2 * half / spacing)) + 1 for half in self.half_size]
        x, y = (np.linspace(-h, h, n) for h, n in zip(self.half_size, counts, strict=True))
        result: FloatArray = (
            self.centre + x[None, :, None] * self.axes[0] + y[:, None, None] * self.axes[1]
        )
        return result

    def seen(self, points: FloatArray) -> FloatArray:
        """Return points (n, 3) as coordinates in the plane and height above it, Å."""
        result: FloatArray = (points - self.centre) @ self.axes.T
        return result


def plane_of_atoms(density: Density, shift: float = 0.0) -> Plane:
    """Return the plane that lies closest to all atoms, moved by `shift` (Å) along its normal."""
    positions = Scene.of(density).places
    if len(positions) < 3:
        return lattice_plane(density, (0, 0, 1), shift)
    centre = positions.mean(axis=0)
    axes = np.linalg.svd(positions - centre)[2]
    axes[2] = np.cross(axes[0], axes[1])
    return _around_atoms(density, positions, centre + shift * axes[2], axes)


def lattice_plane(density: Density, indices: tuple[int, int, int], shift: float = 0.0) -> Plane:
    """Return a plane (hkl) of a density's box.

    Of the planes with these indices it is that in which most atoms lie, of a crystal; of a
    molecule that through the middle of the nuclei.

    Args:
        density: the density.
        indices: h, k and l.
        shift: how far to move along the normal, Å.

    Raises:
        ConfigurationError: if all indices are zero.
    """
    grid, positions = density.grid, Scene.of(density).places
    if not any(indices):
        raise ConfigurationError("There is no plane (000).")
    normal = np.linalg.inv(grid.cell) @ np.array(indices, dtype=np.float64)
    distance = 1 / float(np.linalg.norm(normal))
    normal *= distance
    aside = next(a for a in grid.cell if np.linalg.norm(np.cross(a, normal)) > 0.1)
    along = aside - (aside @ normal) * normal
    along /= np.linalg.norm(along)
    axes = np.array([along, np.cross(normal, along), normal])
    if not all(periodic_axes(density)):
        centre = positions.mean(axis=0) if len(positions) else grid.origin + grid.cell.sum(0) / 2
        return _around_atoms(density, positions, centre + shift * normal, axes)
    middle = grid.origin + grid.cell.sum(axis=0) / 2
    heights = (positions - middle) @ normal
    height = 0.0
    if len(heights):
        apart = heights[:, None] - heights[None, :]
        near = np.abs(apart - distance * np.rint(apart / distance)) < _IN_PLANE
        height = float(heights[int(np.argmax(near.sum(axis=1)))])
        height -= distance * np.rint(height / distance)
    corners = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) @ grid.cell
    seen = (corners + grid.origin - middle) @ axes.T
    half = np.abs(seen[:, :2]).max(axis=0)
    return Plane(middle + (height + shift) * normal, axes, (float(half[0]), float(half[1])))


def miller_indices(text: str) -> tuple[int, int, int]:
    """Return the indices that '001', '1-10' or '1 0 12' stands for.

    Raises:
        ConfigurationError: if it is none of these.
    """
    found = re.findall(r"-?\d+", text) if re.search(r"[\s,]", text.strip()) else None
    if found is None:
        found = re.findall(r"-?\d", text) if re.fullmatch(r"\s*(-?\d){3}\s*", text) else []
    if len(found) != 3:
        raise ConfigurationError(
            f"A plane is three indices, as 001, 1-10 or '1 0 12', or 'atoms', not '{text}'."
        )
    return int(found[0]), int(found[1]), int(found[2])


def values_at(density: Density, points: FloatArray) -> FloatArray:
    """Return the field at points (..., 3), Å: a spline; NaN outside a box that is not periodic."""
    flat = points.reshape(-1, 3)
    values = DensityField(density).at(flat)
    places = fractional(density.grid, flat) * density.grid.shape
    for axis, repeats in enumerate(periodic_axes(density)):
        if not repeats:
            last = density.grid.shape[axis] - 1
            values[(places[:, axis] < -0.5) | (places[:, axis] > last + 0.5)] = np.nan
    return values.reshape(points.shape[:-1])


def _around_atoms(
    density: Density, positions: FloatArray, centre: FloatArray, axes: FloatArray
) -> Plane:
    if not len(positions):
        reach = np.linalg.norm(density.grid.cell, axis=1).max() / 2
        return Plane(centre, axes, (float(reach), float(reach)))
    seen = (positions - centre) @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    middle = (low + high)[:2] / 2
    half = (high - low)[:2] / 2 + _MARGIN
    return Plane(centre + middle @ axes[:2], axes, (float(half[0]), float(half[1])))
