"""`Grid` and `Density`: the one noun that goes through the whole package.

A `Density` is an electron density on the points of a regular grid, together with the atoms it
belongs to and the level of theory it was computed at. Lengths are Å, densities e/Å^3.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

import deepdft
from deepdft.arrays import FloatArray
from deepdft.errors import ConfigurationError, MissingDependencyError
from deepdft.levels import LevelOfTheory

if TYPE_CHECKING:
    from deepdft.plotting.views import View


def _has_volume(cell: FloatArray) -> bool:
    """Return whether edges span a volume; of very long ones, whether their directions do."""
    if abs(np.linalg.det(cell)) < 1e-12:
        return False
    with np.errstate(over="ignore"):
        directions = cell / np.linalg.norm(cell, axis=1, keepdims=True)
    return abs(float(np.linalg.det(directions))) > 1e-9


@dataclass(frozen=True, eq=False)
class Grid:
    """A regular grid of points in any parallelepiped.

    Point (i, j, k) lies at ``origin + i/nx * cell[0] + j/ny * cell[1] + k/nz * cell[2]``: the far
    faces are not repeated, as in periodic files. `shape` is (nx, ny, nz). Grids are equal if their
    points are, to the last bit; see also `is_close`.

    >>> grid = Grid(3.0 * np.eye(3), (30, 30, 30))
    >>> grid.n_points, round(grid.voxel_volume, 6)
    (27000, 0.001)
    >>> grid.points((0, 0, 0), (1, 1, 2))[0, 0, 1].round(6).tolist()
    [0.0, 0.0, 0.1]

    Attributes:
        cell: (3, 3) rows are the edge vectors of the whole box, Å.
        shape: number of points along each edge.
        origin: (3,) position of point (0, 0, 0), Å.

    Raises:
        ConfigurationError: if the cell has no volume, a number of points is not positive, or a
            value is not finite.
    """

    cell: FloatArray
    shape: tuple[int, int, int]
    origin: FloatArray = field(default_factory=lambda: np.zeros(3))

    def __post_init__(self) -> None:
        cell = np.array(self.cell, dtype=np.float64)
        origin = np.array(self.origin, dtype=np.float64)
        shape = tuple(int(n) for n in self.shape)
        if cell.shape != (3, 3) or origin.shape != (3,) or len(shape) != 3:
            raise ConfigurationError(
                f"A grid needs a (3, 3) cell, a (3,) origin and three point counts, "
                f"not {cell.shape}, {origin.shape} and {len(shape)} counts."
            )
        if min(shape) < 1:
            raise ConfigurationError(
                f"A grid needs at least one point along each axis, not {shape}."
            )
        if not (np.isfinite(cell).all() and np.isfinite(origin).all()):
            raise ConfigurationError("The cell or the origin of a grid is not finite.")
        if not _has_volume(cell):
            raise ConfigurationError(f"The cell of a grid has no volume: {cell.tolist()}.")
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "origin", origin)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def around(cls, atoms: Atoms, spacing: float, vacuum: float) -> Grid:
        """Return a rectangular grid of exactly `spacing` (Å) around a molecule.

        The box reaches at least `vacuum` (Å) beyond the outermost nuclei on every side.

        >>> Grid.around(Atoms("H"), spacing=0.25, vacuum=3.0).shape
        (24, 24, 24)
        """
        if not (spacing > 0 and vacuum >= 0):
            raise ConfigurationError(
                f"Spacing must be positive and vacuum not negative, not {spacing} and {vacuum} Å."
            )
        if len(atoms) == 0:
            raise ConfigurationError("There are no atoms to put a grid around.")
        lower = atoms.positions.min(axis=0) - vacuum
        extent = np.ptp(atoms.positions, axis=0) + 2 * vacuum
        counts = np.maximum(np.ceil(extent / spacing - 1e-9).astype(int), 1)
        overhang = counts * spacing - extent
        shape = (int(counts[0]), int(counts[1]), int(counts[2]))
        # Centred: points sit half a spacing inside the box, as in the midpoint rule.
        return cls(np.diag(counts * spacing), shape, lower - overhang / 2 + spacing / 2)

    @classmethod
    def of_cell(cls, atoms: Atoms, spacing: float) -> Grid:
        """Return a grid over the unit cell of `atoms` with at most `spacing` (Å) between points.

        >>> Grid.of_cell(Atoms("Po", cell=[3.35] * 3, pbc=True), spacing=0.2).shape
        (17, 17, 17)
        """
        if not spacing > 0:
            raise ConfigurationError(f"Spacing must be positive, not {spacing} Å.")
        lengths = np.linalg.norm(np.asarray(atoms.cell), axis=1)
        counts = np.maximum(np.ceil(lengths / spacing - 1e-9).astype(int), 1)
        return cls(np.asarray(atoms.cell), (int(counts[0]), int(counts[1]), int(counts[2])))

    @property
    def n_points(self) -> int:
        """Number of grid points."""
        return int(np.prod([int(n) for n in self.shape], dtype=object))

    @property
    def volume(self) -> float:
        """Volume of the box, Å^3."""
        return float(abs(np.linalg.det(self.cell)))

    @property
    def voxel_volume(self) -> float:
        """Volume that one point stands for, Å^3."""
        return self.volume / self.n_points

    @property
    def voxel(self) -> FloatArray:
        """(3, 3) rows are the steps from one point to the next along each axis, Å."""
        steps: FloatArray = self.cell / np.array(self.shape, dtype=np.float64)[:, None]
        return steps

    def points(
        self, start: tuple[int, int, int] = (0, 0, 0), stop: tuple[int, int, int] | None = None
    ) -> FloatArray:
        """Return the Cartesian points of an index box, shape (mx, my, mz, 3), Å.

        A point's coordinates do not depend on the box it was asked for in.
        """
        stop = self.shape if stop is None else stop
        axes = [
            (np.arange(low, high) / n)[:, None] * self.cell[axis]
            for axis, (low, high, n) in enumerate(zip(start, stop, self.shape, strict=True))
        ]
        result: FloatArray = (
            self.origin
            + axes[0][:, None, None, :]
            + axes[1][None, :, None, :]
            + axes[2][None, None, :, :]
        )
        return result

    def slabs(self, axis: int, max_points: int) -> Iterator[tuple[int, int]]:
        """Yield index ranges along `axis` so that a slab holds about `max_points` points."""
        per_layer = self.n_points // self.shape[axis]
        thickness = max(1, max_points // per_layer)
        for start in range(0, self.shape[axis], thickness):
            yield start, min(start + thickness, self.shape[axis])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grid) and self.is_close(other, 0.0)

    def __hash__(self) -> int:
        return hash((self.shape, *self.cell.ravel().tolist(), *self.origin.tolist()))

    def is_close(self, other: Grid, tolerance: float = 1e-4) -> bool:
        """Return whether both grids have the same points to within `tolerance` (Å)."""
        return (
            self.shape == other.shape
            and bool(np.allclose(self.cell, other.cell, rtol=0, atol=tolerance))
            and bool(np.allclose(self.origin, other.origin, rtol=0, atol=tolerance))
        )


@dataclass(frozen=True)
class Comparison:
    """Difference between two densities on the same points.

    Attributes:
        eps_mae: integral of |a - b| over integral of |a| (eq. 7 of the paper), a fraction.
        max_absolute: largest |a - b|, e/Å^3.
        root_mean_square: root of the mean squared difference, e/Å^3.
        electrons: integrals of a and b.
    """

    eps_mae: float
    max_absolute: float
    root_mean_square: float
    electrons: tuple[float, float]


@dataclass(frozen=True, eq=False)
class Density:
    """An electron density on a grid.

    >>> grid = Grid(4.0 * np.eye(3), (8, 8, 8))
    >>> density = Density(Atoms("H2", [[0, 0, 0], [0, 0, 0.74]]), grid, np.full(grid.shape, 0.03))
    >>> round(density.n_electrons, 3)
    1.92
    >>> density.write("even.cube")
    >>> round(density.compare(deepdft.read("even.cube")).eps_mae, 6)
    0.0

    Attributes:
        atoms: a copy of the structure, which may move on afterwards; its cell and periodicity are
            those of the structure, which for a molecule in a box differ from `grid.cell`.
        grid: where the values are.
        values: (nx, ny, nz) number density of electrons, e/Å^3 (positive for electrons).
        spin: None, (nx, ny, nz) spin-up minus spin-down density, or (3, nx, ny, nz)
            magnetisation density of a non-collinear calculation, e/Å^3.
        level: level of theory.
        metadata: whatever else a format stores and can write back (for example "augmentation",
            VASP's one-centre occupancies, as text).
    """

    atoms: Atoms
    grid: Grid
    values: NDArray[np.floating[Any]]
    spin: NDArray[np.floating[Any]] | None = None
    level: LevelOfTheory = field(default_factory=LevelOfTheory)
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "atoms", self.atoms.copy())
        if self.values.shape != self.grid.shape:
            raise ConfigurationError(
                f"The values have shape {self.values.shape} but the grid has {self.grid.shape}."
            )
        if self.spin is not None and self.spin.shape not in (
            self.grid.shape,
            (3, *self.grid.shape),
        ):
            raise ConfigurationError(
                f"The spin density has shape {self.spin.shape}, which fits neither one nor three "
                f"components on the grid {self.grid.shape}."
            )

    @property
    def unit(self) -> str:
        """Unit of the values: that of a density, unless "quantity" in the metadata is another."""
        known = {"potential": "eV", "orbital": "Å^-3/2", "elf": ""}
        return known.get(self.metadata.get("quantity", "density"), "e/Å^3")

    @property
    def n_electrons(self) -> float:
        """Integral of the density over the grid, by the midpoint (periodic trapezoidal) rule."""
        return float(self.values.sum(dtype=np.float64)) * self.grid.voxel_volume

    @property
    def total_spin(self) -> float | FloatArray | None:
        """Integral of the spin density (a number, or three for a non-collinear one), or None."""
        if self.spin is None:
            return None
        total = self.spin.sum(axis=(-3, -2, -1), dtype=np.float64) * self.grid.voxel_volume
        return float(total) if total.ndim == 0 else np.asarray(total)

    def compare(self, other: Density, *, mix_levels: bool = False) -> Comparison:
        """Compare with another density on the same grid; `self` is the reference of eq. (7).

        Raises:
            ConfigurationError: if the grids differ, or the reference is zero everywhere.
            LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
        """
        if not mix_levels:
            self.level.require_match(other.level, "The densities cannot be compared")
        if not self.grid.is_close(other.grid):
            raise ConfigurationError(
                f"The grids differ ({self.grid.shape} against {other.grid.shape} points, or "
                "another cell or origin); resample one of them first."
            )
        difference = other.values.astype(np.float64) - self.values
        norm = float(np.abs(self.values).sum(dtype=np.float64))
        if norm == 0:
            raise ConfigurationError("The reference density is zero everywhere.")
        return Comparison(
            eps_mae=float(np.abs(difference).sum()) / norm,
            max_absolute=float(np.abs(difference).max()),
            root_mean_square=float(np.sqrt(np.mean(difference**2))),
            electrons=(self.n_electrons, other.n_electrons),
        )

    def minus(self, other: Density, *, mix_levels: bool = False) -> Density:
        """Return the difference density ``self - other`` on the same grid.

        Spin densities are subtracted if both have one with as many components.

        Raises:
            ConfigurationError: if the grids differ.
            LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
        """
        if not mix_levels:
            self.level.require_match(other.level, "The densities cannot be subtracted")
        if not self.grid.is_close(other.grid):
            raise ConfigurationError("The densities are on different grids; resample one first.")
        spin = None
        if self.spin is not None and other.spin is not None and self.spin.shape == other.spin.shape:
            spin = self.spin - other.spin
        return replace(self, values=self.values - other.values, spin=spin, metadata={})

    def slice(self, axis: int, index: int) -> NDArray[np.floating[Any]]:
        """Return the values of one layer of points, a 2D view (`axis` 0, 1 or 2).

        Raises:
            ConfigurationError: if the axis or the index does not exist.
        """
        if axis not in (0, 1, 2) or not -self.grid.shape[axis] <= index < self.grid.shape[axis]:
            raise ConfigurationError(f"Layer {index} of axis {axis} is outside {self.grid.shape}.")
        layer: NDArray[np.floating[Any]] = self.values[(slice(None),) * axis + (index,)]
        return layer

    def write(self, path: str | Path, **options: Any) -> None:
        """Write to a file; the format follows from the suffix (see `deepdft.write`)."""
        # The formats stand above this module and know it; the package's front door knows them.
        deepdft.write(path, self, **options)

    def view(
        self,
        *,
        iso: float | None = None,
        difference: Density | None = None,
        mix_levels: bool = False,
        title: str = "",
        height: int = 460,
    ) -> View:
        """Return an interactive view for notebooks and browsers; see `deepdft.view`."""
        return deepdft.view(
            self, iso=iso, difference=difference, mix_levels=mix_levels, title=title, height=height
        )

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.grid.shape))
        formula = self.atoms.symbols.formula.format("hill") or "no atoms"
        quantity = self.metadata.get("quantity", "density")
        amount = f", {self.n_electrons:.3f} electrons" if quantity == "density" else f", {quantity}"
        return f"<Density of {formula}: {shape} points{amount}, {self.level}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """Show the density in a notebook, where the extra `plot` is installed."""
        bundle = {"text/plain": repr(self)}
        try:
            bundle["text/html"] = self.view()._repr_html_()
        except MissingDependencyError as sentence:
            bundle["text/plain"] += f"\n{sentence}"
        return bundle


def as_points(points: ArrayLike) -> FloatArray:
    """Return `points` as a contiguous float64 array of shape (n, 3).

    Raises:
        ConfigurationError: if the shape is not (n, 3) or a coordinate is not finite.
    """
    array = np.ascontiguousarray(points, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 3:
        raise ConfigurationError(f"Points must have shape (n, 3), not {array.shape}.")
    if not np.isfinite(array).all():
        raise ConfigurationError("A point has a coordinate that is not finite.")
    return array
