"""Where a picture is taken from: a parallel projection, whose scale is the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray
from deepdft.errors import ConfigurationError

_TILT = np.deg2rad([-24.0, 16.0])
"""Turns about the axes to the right and up by which a molecule shows its third dimension."""

_CRYSTAL_VIEW = (3.4, 1.0, 0.9)
"""From where a crystal is seen."""


@dataclass(frozen=True, eq=False)
class Camera:
    """A parallel projection on a plane of pixels.

    Attributes:
        axes: (3, 3) rows are the directions to the right, up and to the viewer.
        centre: (3,) what is in the middle of the picture, Å.
        half_size: half the width and half the height of what is seen, Å.
        pixels: width and height in pixels.
    """

    axes: FloatArray
    centre: FloatArray
    half_size: tuple[float, float]
    pixels: tuple[int, int]

    @property
    def scale(self) -> float:
        """Pixels per Å."""
        return self.pixels[0] / (2 * self.half_size[0])

    def seen(self, points: FloatArray) -> FloatArray:
        """Return points (n, 3) as Å to the right of, above and before the middle."""
        result: FloatArray = (points - self.centre) @ self.axes.T
        return result

    def projected(self, points: FloatArray) -> FloatArray:
        """Return points (n, 3) in pixels: from the left, from the top, and to the viewer."""
        seen = self.seen(points) * self.scale
        seen[:, 0] += self.pixels[0] / 2
        seen[:, 1] = self.pixels[1] / 2 - seen[:, 1]
        return seen


def looking_along(direction: ArrayLike, up: ArrayLike = (0.0, 0.0, 1.0)) -> FloatArray:
    """Return the axes of a camera at `direction` from the middle, with `up` upwards.

    Raises:
        ConfigurationError: if the direction is zero or not three finite numbers.
    """
    towards = np.asarray(direction, dtype=np.float64)
    if towards.shape != (3,) or not np.isfinite(towards).all() or not towards.any():
        raise ConfigurationError(
            f"A view needs three numbers that are not all zero, not {towards.tolist()}."
        )
    towards = towards / np.linalg.norm(towards)
    right = np.cross(np.asarray(up, dtype=np.float64), towards)
    if np.linalg.norm(right) < 1e-6:
        right = np.cross([0.0, 1.0, 0.0], towards)
    right /= np.linalg.norm(right)
    return np.array([right, np.cross(towards, right), towards])


def chosen_axes(positions: FloatArray, periodic: bool) -> FloatArray:
    """Return a view that shows much: of crystals from a corner, of molecules nearly flat.

    Args:
        positions: (n, 3) of the atoms, Å.
        periodic: whether it is a crystal.
    """
    if periodic or len(positions) < 2:
        return looking_along(_CRYSTAL_VIEW)
    offsets = positions - positions.mean(axis=0)
    axes = np.linalg.svd(offsets, full_matrices=True)[2]
    # The signs of principal axes are a matter of chance; those of the numbers here are not.
    for row in axes[:2]:
        if row[np.argmax(np.abs(row))] < 0:
            row *= -1
    axes[2] = np.cross(axes[0], axes[1])
    (cx, cy), (sx, sy) = np.cos(_TILT), np.sin(_TILT)
    about_right = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_up = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    result: FloatArray = about_right @ about_up @ axes
    return result


def framed(axes: FloatArray, points: FloatArray, pixels: int, margin: float = 0.4) -> Camera:
    """Return a camera that sees all of some points.

    Args:
        axes: its directions.
        points: (n, 3) Å.
        pixels: of the longer side.
        margin: space around the points, Å.
    """
    seen = points @ axes.T
    low, high = seen.min(axis=0), seen.max(axis=0)
    half = (high - low)[:2] / 2 + margin
    scale = pixels / (2 * half.max())
    # The longer side is `pixels`, however its product is rounded.
    size = np.maximum(np.ceil(2 * half * scale - 1e-6), 1).astype(int)
    half = size / (2 * scale)
    centre = ((low + high) / 2) @ axes
    return Camera(axes, centre, (float(half[0]), float(half[1])), (int(size[0]), int(size[1])))
