"""A density on the points of another grid: trigonometric where periodic, splines elsewhere.

Two grids over the same periodic cell are joined by the trigonometric interpolant through the
values (Fourier resampling): exact for a density whose plane waves the given grid resolves, as
those of plane-wave programs are. Any other pair of grids uses a tensor-product spline of fifth
order in the fractional coordinates of the given grid, periodic along the periodic axes.

What is returned are values of the interpolant at the new points, whether these are more or fewer:
nothing is smoothed, so a coarser grid may integrate to slightly less or more.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.field import CheckedField, Derivatives, Order
from deepdft.fields.walk import slabs, values_on
from deepdft.geometry.displacement import SAME_CELL
from deepdft.levels import LevelOfTheory

Method = Literal["none", "fourier", "spline"]

_SPLINE_ORDER: Final = 5
_PADDING = 8
"""Layers around the spline's coefficients, more than half the width of a basis function."""
_BLOCK_VALUES = 1 << 22
"""Values that one step works on (complex: 64 MB)."""


@dataclass(frozen=True)
class Resampled:
    """A density on another grid, and how it got there.

    Attributes:
        density: on the new grid, float64.
        method: "none" (the points are the same), "fourier" or "spline".
        outside: fraction of the new points that lie outside a box that is not periodic; the
            density is zero there.
    """

    density: Density
    method: Method
    outside: float = 0.0

    def describe(self) -> str:
        """Return one line that says what was done."""
        if self.method == "none":
            return "the points are the same"
        shape = "x".join(map(str, self.density.grid.shape))
        if self.method == "fourier":
            return f"Fourier resampling (same periodic cell) to {shape} points"
        text = f"spline resampling (order {_SPLINE_ORDER}) to {shape} points"
        if self.outside:
            text += f"; zero at the {100 * self.outside:.3g} % of them that lie outside its box"
        return text


def resample(
    density: Density, grid: Grid, method: Literal["auto", "fourier", "spline"] = "auto"
) -> Resampled:
    """Return a density, with its spin density, on the points of another grid.

    Args:
        density: what to resample; its periodicity is that of its structure.
        grid: the new points.
        method: "auto" takes the trigonometric interpolant where both grids span the same cell and
            the density is periodic along all axes, else splines.

    Raises:
        ConfigurationError: if Fourier resampling is asked for and the grids do not allow it, or
            the method does not exist.
    """
    if method not in ("auto", "fourier", "spline"):
        raise ConfigurationError(f"There is no resampling '{method}' (auto, fourier, spline).")
    if density.grid.is_close(grid):
        return Resampled(replace(density, grid=grid), "none")
    possible = spans_same_cell(density, grid)
    if method == "fourier" and not possible:
        raise ConfigurationError(
            "Fourier resampling needs a density that is periodic along all axes and two grids "
            "over the same cell; use splines instead."
        )
    channels = [density.values]
    if density.spin is not None:
        channels += list(density.spin.reshape(-1, *density.grid.shape))
    if possible and method != "spline":
        shift = fractional(density.grid, grid.origin)
        arrays = [fourier_resample(channel, grid.shape, shift) for channel in channels]
        kind: Method = "fourier"
        outside = 0.0
    else:
        field = DensityField(density)
        outside = field.outside(grid)
        arrays = [values_on(field, grid)]
        arrays += [values_on(field.of(values), grid) for values in channels[1:]]
        kind = "spline"
    spin = None if density.spin is None else np.stack(arrays[1:])
    if spin is not None and density.spin is not None and density.spin.ndim == 3:
        spin = spin[0]
    moved = replace(density, grid=grid, values=arrays[0], spin=spin, metadata={})
    return Resampled(moved, kind, outside)


class DensityField(CheckedField):
    """A density on a grid as a `Field`: the spline through its values, and these on its own grid.

    It is zero outside a box that is not periodic.

    Args:
        density: the density.
    """

    largest_order: Order = 0
    called = "A density on a grid"

    def __init__(self, density: Density) -> None:
        self._density = density
        self._spline = Spline(density.values, periodic_axes(density))

    @property
    def atoms(self) -> Atoms:
        """The structure."""
        return self._density.atoms

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory."""
        return self._density.level

    def of(self, values: NDArray[np.floating[Any]]) -> DensityField:
        """Return the field of other values on the same grid."""
        return DensityField(replace(self._density, values=values, spin=None))

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        return self._spline(self._places(points))

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        if grid == self._density.grid:
            own = self._density.values[
                tuple(slice(*span) for span in zip(start, stop, strict=True))
            ]
            return np.array(own, dtype=np.float64)
        result = np.empty([high - low for low, high in zip(start, stop, strict=True)])
        per_layer = max(1, result.shape[1] * result.shape[2])
        step = max(1, _BLOCK_VALUES // 8 // per_layer)
        for first in range(start[0], stop[0], step):
            last = min(first + step, stop[0])
            points = grid.points((first, *start[1:]), (last, *stop[1:]))
            values = self._spline(self._places(points.reshape(-1, 3)))
            result[first - start[0] : last - start[0]] = values.reshape(points.shape[:3])
        return result

    def outside(self, grid: Grid) -> float:
        """Return the fraction of a grid's points that lie outside the box of the density."""
        count = 0
        for start, stop in slabs(grid, points=_BLOCK_VALUES // 8):
            count += int(self.is_outside(grid.points(start, stop).reshape(-1, 3)).sum())
        return count / grid.n_points

    def is_outside(self, points: FloatArray) -> NDArray[np.bool_]:
        """Return which of the points (n, 3), Å, lie outside the box of the density, (n,)."""
        return self._spline.outside(self._places(points))

    def _places(self, points: FloatArray) -> FloatArray:
        return fractional(self._density.grid, points) * self._density.grid.shape


def spans_same_cell(density: Density, grid: Grid) -> bool:
    """Return whether a density repeats along all axes of its grid and `grid` spans that cell."""
    same = np.allclose(density.grid.cell, grid.cell, rtol=0, atol=SAME_CELL)
    return all(periodic_axes(density)) and bool(same)


def periodic_axes(density: Density) -> tuple[bool, bool, bool]:
    """Return along which axes of its grid a density repeats.

    It does where the edge of the grid's box is a lattice vector of the structure: the values of a
    crystal in a box of another shape do not repeat with that box.
    """
    pbc = np.asarray(density.atoms.pbc, dtype=bool)
    cell = np.asarray(density.atoms.cell.complete())
    counts = density.grid.cell @ np.linalg.inv(cell)
    # What an edge misses by in Å, along the lattice and along directions without one.
    whole = np.where(pbc, np.rint(counts), 0.0)
    missed = np.linalg.norm((counts - whole) @ cell, axis=1)
    first, second, third = (
        missed < SAME_CELL * np.maximum(1.0, np.abs(whole).sum(axis=1))
    ).tolist()
    return first, second, third


def fractional(grid: Grid, points: FloatArray) -> FloatArray:
    """Return points (..., 3) as fractions of the edges of a grid's box."""
    result: FloatArray = (points - grid.origin) @ np.linalg.inv(grid.cell)
    return result


def fourier_resample(
    values: NDArray[np.floating[Any]], shape: tuple[int, int, int], shift: FloatArray | None = None
) -> FloatArray:
    """Evaluate the trigonometric interpolant of periodic values on another number of points.

    Along an axis with an even number of points the highest wave is ambiguous; its cosine is
    taken, so that real values stay real.

    Args:
        values: (nx, ny, nz) at fractions i/nx, j/ny, k/nz of the cell.
        shape: number of new points along each axis.
        shift: (3,) where the first new point lies, as fractions of the cell.

    Returns:
        (shape) values at fractions shift + i/shape.
    """
    shift = np.zeros(3) if shift is None else shift
    result: FloatArray = np.asarray(values, dtype=np.float64)
    # Axes that lose points first: less to do for the others.
    for axis in sorted(range(3), key=lambda a: shape[a] / values.shape[a]):
        if shape[axis] != values.shape[axis] or shift[axis] != 0:
            result = _resample_axis(result, axis, shape[axis], float(shift[axis]))
    return result


def _resample_axis(values: FloatArray, axis: int, count: int, shift: float) -> FloatArray:
    moved = np.moveaxis(values, axis, -1)
    result = np.empty((*moved.shape[:2], count))
    longest = max(count, moved.shape[2])
    step = max(1, _BLOCK_VALUES // (moved.shape[1] * longest))
    for first in range(0, moved.shape[0], step):
        block = np.fft.rfft(moved[first : first + step], axis=-1)
        result[first : first + step] = _inverse(block, moved.shape[2], count, shift)
    return np.moveaxis(result, -1, axis)


def _inverse(waves: NDArray[np.complex128], n: int, count: int, shift: float) -> FloatArray:
    """Return the values at shift + i/count of the waves of n real values (`numpy.fft.rfft`)."""
    orders = np.arange(waves.shape[-1])
    weights = np.where((orders == 0) | (2 * orders == n), 1.0, 2.0)
    # rho(x) = Re sum_k weights_k c_k exp(2 pi i k x): waves that the new points cannot tell apart
    # (k modulo count) are added up.
    waves = waves * (weights * np.exp(2j * np.pi * orders * shift) * (count / n))
    folded = np.zeros((*waves.shape[:-1], count), dtype=np.complex128)
    for first in range(0, len(orders), count):
        part = waves[..., first : first + count]
        folded[..., : part.shape[-1]] += part
    result: FloatArray = np.fft.ifft(folded, axis=-1).real
    return result


class Spline:
    """Tensor-product spline of fifth order through values on a grid.

    Args:
        values: (nx, ny, nz).
        periodic: for each axis, whether the values repeat behind the last one; otherwise they are
            taken as symmetric about the first and the last layer, which only matters near these.
    """

    def __init__(
        self, values: NDArray[np.floating[Any]], periodic: tuple[bool, bool, bool]
    ) -> None:
        from scipy.ndimage import spline_filter1d

        self.shape = values.shape
        self.periodic = periodic
        coefficients = np.array(values, dtype=np.float64)
        for axis, repeats in enumerate(periodic):
            if values.shape[axis] > 1:
                mode: Literal["grid-wrap", "mirror"] = "grid-wrap" if repeats else "mirror"
                spline_filter1d(coefficients, _SPLINE_ORDER, axis, coefficients, mode)
            widths = [(0, 0)] * 3
            widths[axis] = (_PADDING, _PADDING)
            coefficients = np.pad(coefficients, widths, "wrap" if repeats else "reflect")
        self._coefficients = coefficients

    def __call__(self, places: FloatArray) -> FloatArray:
        """Evaluate at places (n, 3), counted in layers from the first point of the grid.

        Places more than half a layer outside along an axis that does not repeat give zero.
        """
        from scipy.ndimage import map_coordinates

        folded = np.array(places, dtype=np.float64).T
        for axis, repeats in enumerate(self.periodic):
            if repeats:
                folded[axis] %= self.shape[axis]
        outside = self.outside(places)
        folded[:, outside] = 0.0
        values: FloatArray = map_coordinates(
            self._coefficients, folded + _PADDING, order=_SPLINE_ORDER, prefilter=False
        )
        values[outside] = 0.0
        return values

    def outside(self, places: FloatArray) -> NDArray[np.bool_]:
        """Return which of the places (n, 3) lie outside, (n,)."""
        result = np.zeros(len(places), dtype=bool)
        edge = 0.5 + 1e-6  # rounding must not decide about points on the faces of the box
        for axis, repeats in enumerate(self.periodic):
            if not repeats:
                last = self.shape[axis] - 1
                result |= (places[:, axis] < -edge) | (places[:, axis] > last + edge)
        return result
