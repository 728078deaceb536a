"""Poisson's equation on a grid, with the boundaries that a structure has.

In all three directions periodic: by Fourier transform, with no mean. Open: charges are convolved
with the kernel 1/r = erf(a r)/r + erfc(a r)/r on a grid twice as long; the smooth part is sampled
in real space, the short one is known in reciprocal space, and both are exact to rounding for what
the grid resolves (G. J. Martyna and M. E. Tuckerman, J. Chem. Phys. 110, 2810 (1999)). Periodic in
two directions: the kernel is cut off beyond the slab (S. Ismail-Beigi, Phys. Rev. B 73, 233103
(2006)).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import irfftn, next_fast_len, rfftn
from scipy.special import erf

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.units import BOHR, HARTREE

COULOMB = HARTREE * BOHR
"""Potential of an elementary charge at 1 Å, V (14.3996...)."""

_SHORT_LAYERS = 18
"""Layers within which the short-ranged part of the kernel has vanished."""

_RIGHT_ANGLE = 1e-6


def solve(charge: FloatArray, grid: Grid, periodic: Sequence[bool]) -> FloatArray:
    """Return the potential of a charge density on the same grid.

    Args:
        charge: (nx, ny, nz) e/Å^3, positive for nuclei; along directions without periodicity it has
            to vanish towards the faces of the grid.
        grid: the points.
        periodic: along which axes of the grid it repeats.

    Returns:
        (nx, ny, nz) V; its mean is zero where all axes are periodic, else it vanishes far away.

    Raises:
        ConfigurationError: for chains, periodic along one axis, and for slabs whose third axis is
            not at right angles to the others.
    """
    count = sum(periodic)
    if count == 3:
        kernel = _periodic_kernel(grid)
    elif count == 2:
        grid, kernel = _slab_kernel(grid, list(periodic).index(False))
    elif count == 0:
        grid, kernel = _open_kernel(grid)
    else:
        raise ConfigurationError(
            "The potential of a structure that is periodic along one direction only is not "
            "available; put it into a cell with vacuum that is periodic along all three."
        )
    waves = rfftn(charge, grid.shape)
    waves *= kernel
    potential: FloatArray = irfftn(waves, grid.shape)
    return COULOMB * potential[tuple(slice(0, n) for n in charge.shape)]


def _periodic_kernel(grid: Grid) -> FloatArray:
    squares = _squares(grid)
    with np.errstate(divide="ignore"):
        kernel = 4 * np.pi / squares
    kernel[0, 0, 0] = 0.0
    return kernel


def _open_kernel(grid: Grid) -> tuple[Grid, FloatArray]:
    """Return the longer grid and the transform of 1/r on it."""
    shape = [next_fast_len(max(2 * n, n + _SHORT_LAYERS), real=True) for n in grid.shape]
    longer = _lengthened(grid, shape)
    # The smooth part has no waves that the grid does not resolve, to 1e-12.
    heights = 1.0 / np.linalg.norm(np.linalg.inv(grid.voxel), axis=0)
    sharpness = 0.299 / float(heights.max())
    offsets = [np.fft.fftfreq(n, 1.0 / n) for n in shape]
    axes = np.ix_(*offsets)
    squares = sum(
        (sum(axis * step for axis, step in zip(axes, grid.voxel[:, x], strict=True))) ** 2
        for x in range(3)
    )
    distances: FloatArray = np.sqrt(squares)
    distances[0, 0, 0] = 1.0
    smooth = erf(sharpness * distances) / distances
    smooth[0, 0, 0] = 2 * sharpness / np.sqrt(np.pi)
    kernel = rfftn(smooth).real * grid.voxel_volume
    waves = _squares(longer)
    waves[0, 0, 0] = 1.0
    short = -4 * np.pi / waves * np.expm1(-waves / (4 * sharpness**2))
    short[0, 0, 0] = np.pi / sharpness**2
    return longer, kernel + short


def _slab_kernel(grid: Grid, axis: int) -> tuple[Grid, FloatArray]:
    """Return the longer grid and the transform of a kernel that ends beyond the slab."""
    others = [other for other in range(3) if other != axis]
    normal = grid.cell[axis] / np.linalg.norm(grid.cell[axis])
    edges = grid.cell[others] / np.linalg.norm(grid.cell[others], axis=1, keepdims=True)
    if np.abs(edges @ normal).max() > _RIGHT_ANGLE:
        raise ConfigurationError(
            "The potential of a slab needs a grid whose third axis is at right angles to it."
        )
    shape = list(grid.shape)
    shape[axis] = next_fast_len(2 * shape[axis], real=True)
    longer = _lengthened(grid, shape)
    vectors = _waves(longer)
    across = sum(vectors[x] * normal[x] for x in range(3))
    squares = _squares(longer)
    along = np.sqrt(np.maximum(squares - across**2, 0.0))
    end = 0.5 * float(np.linalg.norm(longer.cell[axis]))
    squares[0, 0, 0] = 1.0
    kernel = 4 * np.pi / squares * (1 - np.exp(-along * end) * np.cos(across * end))
    kernel[0, 0, 0] = -2 * np.pi * end**2
    return longer, kernel


def _lengthened(grid: Grid, shape: Sequence[int]) -> Grid:
    counts = (int(shape[0]), int(shape[1]), int(shape[2]))
    return Grid(grid.voxel * np.array(counts)[:, None], counts, grid.origin)


def _waves(grid: Grid) -> list[FloatArray]:
    """Return the components of the wave vectors of a grid's real transform, 1/Å."""
    reciprocal = 2 * np.pi * np.linalg.inv(grid.cell).T
    nx, ny, nz = grid.shape
    axes = np.ix_(
        np.fft.fftfreq(nx, 1.0 / nx), np.fft.fftfreq(ny, 1.0 / ny), np.fft.rfftfreq(nz, 1.0 / nz)
    )
    return [
        sum(axis * edge for axis, edge in zip(axes, reciprocal[:, x], strict=True))
        for x in range(3)
    ]


def _squares(grid: Grid) -> FloatArray:
    x, y, z = _waves(grid)
    return x**2 + y**2 + z**2
