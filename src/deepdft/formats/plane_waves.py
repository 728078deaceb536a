"""A density as Fourier coefficients of plane waves, and the values on a grid over the cell.

``rho(r) = sum_G c_G exp(i G r)``, G = m b with whole numbers m (Miller indices) and rows b of the
reciprocal lattice. A real density has ``c_-G = conj(c_G)``, so files may hold one of each pair.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Grid


@dataclass(frozen=True)
class PlaneWaves:
    """Coefficients of one or more densities.

    Attributes:
        half: whether only one of each pair G, -G is there.
        indices: (n, 3) Miller indices, int64.
        coefficients: (components, n), complex, e/bohr^3 for instance.
    """

    half: bool
    indices: NDArray[np.int64]
    coefficients: NDArray[np.complex128]

    @property
    def smallest_shape(self) -> tuple[int, int, int]:
        """Counts of points, good for Fourier transforms, that represent every plane wave."""
        n = [
            scipy.fft.next_fast_len(2 * int(m) + 1)
            for m in np.abs(self.indices).max(axis=0, initial=0)
        ]
        return n[0], n[1], n[2]

    def fits(self, shape: tuple[int, int, int]) -> bool:
        """Return whether every plane wave can be told from the others on a grid."""
        return bool((2 * np.abs(self.indices).max(axis=0, initial=0) < np.array(shape)).all())

    def on_grid(self, component: int, shape: tuple[int, int, int]) -> FloatArray:
        """Return the values (nx, ny, nz) of one component on a grid that it fits."""
        half = np.zeros((shape[0], shape[1], shape[2] // 2 + 1), dtype=np.complex128)
        coefficients = self.coefficients[component]
        upper = self.indices[:, 2] >= 0
        lower = self.indices[:, 2] <= 0
        half[_places(self.indices[upper], shape)] = coefficients[upper]
        half[_places(-self.indices[lower], shape)] = coefficients[lower].conj()
        return np.asarray(scipy.fft.irfftn(half, shape, norm="forward", overwrite_x=True))


def _places(
    indices: NDArray[np.int64], shape: tuple[int, int, int]
) -> tuple[NDArray[np.int64], ...]:
    return tuple(np.mod(indices, shape).T)


def coefficients_of(
    values: NDArray[np.floating], grid: Grid, indices: NDArray[np.int64]
) -> NDArray[np.complex128]:
    """Return the coefficients of plane waves in values on a grid; 0 where the grid is too coarse.

    Args:
        values: (nx, ny, nz).
        grid: the points, over the periodic cell; its origin shifts the phases.
        indices: (n, 3) Miller indices.
    """
    half = scipy.fft.rfftn(values, norm="forward")
    known = (2 * np.abs(indices) < np.array(grid.shape)).all(axis=1)
    sign = np.where(indices[:, 2] < 0, -1, 1)
    found = np.zeros(len(indices), dtype=np.complex128)
    picked = half[_places((indices * sign[:, None])[known], grid.shape)]
    found[known] = np.where(sign[known] < 0, picked.conj(), picked)
    place = np.linalg.solve(grid.cell.T, grid.origin)
    return np.asarray(found * np.exp(-2j * np.pi * (indices @ place)))
