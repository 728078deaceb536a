"""The local potential of a periodic density on its grid, by Fourier transforms; atomic units."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfftn, rfftn

from deepdft.arrays import Array, FloatArray
from deepdft.density import Grid
from deepdft.units import BOHR

_SMALLEST_DENSITY = 1e-12
"""bohr^-3, below which the functional is evaluated for this."""


class PlaneWaves:
    """Waves of a cell's grid, with what they make of densities.

    Args:
        grid: of the whole cell.
    """

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        nx, ny, nz = grid.shape
        self._integers: list[Array] = [
            np.fft.fftfreq(nx, 1 / nx), np.fft.fftfreq(ny, 1 / ny), np.fft.rfftfreq(nz, 1 / nz)
        ]  # fmt: skip
        reciprocal = 2 * math.pi * np.linalg.inv(grid.cell / BOHR).T
        x, y, z = _vectors(self._integers, reciprocal)
        self._squares: FloatArray = x**2 + y**2 + z**2
        # Waves at the edge have no derivative that is real.
        inner: list[Array] = [
            np.where(2 * abs(k) == n, 0.0, k)
            for k, n in zip(self._integers, grid.shape, strict=True)
        ]
        self._slopes: list[Array] = [1j * v for v in _vectors(inner, reciprocal)]
        self._volume = grid.voxel_volume / BOHR**3

    def coulomb(self, density: FloatArray) -> FloatArray:
        """Return the potential of electrons, whose mean is zero."""
        kernel = 4 * math.pi / np.where(self._squares == 0, 1.0, self._squares)
        kernel[0, 0, 0] = 0.0
        return self._on_grid(rfftn(density) * kernel)

    def of_pseudopotentials(
        self, parameters: dict[str, Any], symbols: list[str], positions: FloatArray
    ) -> FloatArray:
        """Return the local parts of GTH pseudopotentials.

        Args:
            parameters: of each element, as PySCF keeps them: electrons by angular momentum, radius,
                number of coefficients, coefficients, ...
            symbols: of the atoms.
            positions: (atoms, 3) Å.
        """
        total = np.zeros(self._squares.shape, np.complex128)
        fractional = positions @ np.linalg.inv(self.grid.cell)
        for symbol in sorted(set(symbols)):
            places = fractional[[s == symbol for s in symbols]]
            total += _local_form(self._squares, *parameters[symbol][:4]) * self._phases(places)
        return self._on_grid(total / self._volume)

    def functional(
        self, density: FloatArray, evaluate: Any, name: str, kind: str
    ) -> tuple[float, FloatArray]:
        """Return the energy of exchange and correlation and its potential on the grid.

        Args:
            density: (nx, ny, nz).
            evaluate: `NumInt.eval_xc_eff` of PySCF.
            name: of the functional in libxc.
            kind: "LDA" or "GGA".
        """
        values = np.maximum(density, _SMALLEST_DENSITY).reshape(1, -1)
        if kind == "GGA":
            waves = rfftn(density)
            gradient = [self._on_grid(slope * waves).reshape(1, -1) for slope in self._slopes]
            values = np.concatenate([values, *gradient])
        given = values if kind == "GGA" else values[0]
        exc, vxc = evaluate(name, given, deriv=1, xctype=kind, spin=0)[:2]
        parts = np.atleast_2d(vxc).reshape(-1, *density.shape)
        potential = parts[0]
        if kind == "GGA":
            for slope, part in zip(self._slopes, parts[1:], strict=True):
                potential = potential - self._on_grid(slope * rfftn(part))
        return float(values[0] @ exc) * self._volume, potential

    def _on_grid(self, waves: Any) -> FloatArray:
        values: FloatArray = irfftn(waves, self.grid.shape)
        return values

    def _phases(self, places: FloatArray) -> NDArray[np.complex128]:
        """Return the sum of exp(-i G r) over fractional coordinates (n, 3)."""
        total = np.zeros(self._squares.shape, np.complex128)
        for place in places:
            x, y, z = (
                np.exp(-2j * math.pi * share * k)
                for share, k in zip(place, self._integers, strict=True)
            )
            total += x[:, None, None] * y[None, :, None] * z[None, None, :]
        return total


def _vectors(integers: list[Array], reciprocal: Array) -> list[Array]:
    """Return the components of the waves' vectors."""
    along: list[Array] = list(np.ix_(*integers))
    return [along[0] * a + along[1] * b + along[2] * c for a, b, c in reciprocal.T]


def _local_form(
    squares: FloatArray, electrons: list[int], radius: float, count: int, coefficients: list[float]
) -> FloatArray:
    """Return the transform of a local pseudopotential, Ha bohr^3.

    Goedecker, Teter and Hutter, Phys. Rev. B 54, 1703 (1996), equation (5). Without a wave, what
    is left when the point charges' potential is taken off.
    """
    charge = sum(electrons)
    g = squares * radius**2
    fading = np.exp(-g / 2)
    polynomials = (1 + 0 * g, 3 - g, 15 - 10 * g + g**2, 105 - 105 * g + 21 * g**2 - g**3)
    short = np.zeros(g.shape)
    for coefficient, polynomial in zip(coefficients[:count], polynomials, strict=False):
        short += coefficient * polynomial
    form: FloatArray = -4 * math.pi * charge * fading / np.where(squares == 0, 1.0, squares)
    form[0, 0, 0] = 2 * math.pi * charge * radius**2
    form += (2 * math.pi) ** 1.5 * radius**3 * fading * short
    return form
