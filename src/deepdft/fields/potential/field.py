"""The electrostatic potential as a field."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.compilation import compiled
from deepdft.density import Density, Grid
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.field import CheckedField, Derivatives, Field, Order
from deepdft.fields.potential.poisson import COULOMB, solve
from deepdft.fields.potential.screened_ions import ScreenedIons
from deepdft.fields.resampled import DensityField, periodic_axes
from deepdft.fields.walk import values_on
from deepdft.levels import LevelOfTheory

_SHARPNESS = 0.365
"""Of Gaussians that a grid resolves to 1e-8, times its spacing."""

_SOFTEST = 1.6
"""Sharpness of Gaussians that make up for what clouds of atoms lack, 1/Å."""

_NO_CHARGE = 1e-10
"""e. Smaller charges of a grid point are not looked at from outside."""


class ElectrostaticPotential(CheckedField):
    """The potential of a density and its ions, in volts: a `Field` of order 0.

    It is positive near nuclei: the energy of an electron there is lower. The ions are point
    charges. Far from a molecule it vanishes; over the cell of a crystal its mean is zero, as there
    is no outside that it could be compared with.

    The superposed atoms' own potential is known exactly. Only that of the difference to them comes
    from the grid, so that a spacing of 0.15 to 0.2 Å is enough.

    Args:
        atoms: the structure.
        grid: where the density is known: the cell, or for molecules a box around them.
        values: (nx, ny, nz) density of the electrons, e/Å^3.
        core_charges: (atoms,) charge of each nucleus with the electrons that the density leaves
            out, e.
        tables: atomic densities of the same level of theory; without them a finer grid is needed.
        level: level of theory.
        net_charge: of the structure, e: the density is multiplied so that it has this, as a missing
            electron would be seen from afar. By default it is taken as it is.
        threads: CPU threads; default: all that this process may use.

    Raises:
        ConfigurationError: if atoms of one element have different charges, for structures periodic
            along one direction, and for slabs whose third axis is not at right angles to them.
        UnsupportedStructureError: if the tables lack an element.
    """

    largest_order: Order = 0
    called = "The electrostatic potential"

    def __init__(
        self, atoms: Atoms, grid: Grid, values: NDArray[np.floating[Any]], core_charges: ArrayLike,
        tables: AtomicDensityTables | None = None, level: LevelOfTheory | None = None,
        net_charge: float | None = None, threads: int | None = None,
    ) -> None:  # fmt: skip
        self.atoms = atoms
        self.level = level or LevelOfTheory()
        heights = 1.0 / np.linalg.norm(np.linalg.inv(grid.voxel), axis=0)
        sharpness = _SOFTEST if tables is not None else _SHARPNESS / float(heights.max())
        self._ions = ScreenedIons(atoms, core_charges, tables, sharpness, threads)
        clouds = values_on(SuperposedAtoms(self._ions.clouds, atoms, threads=threads), grid)
        # What a grid makes of the clouds' integral, it makes of the density's.
        found = values.sum(dtype=np.float64)
        wanted = found if net_charge is None else clouds.sum() - net_charge / grid.voxel_volume
        self._charge = clouds - (wanted / found) * values
        self._grid = grid
        bare = Density(atoms, grid, self._charge)
        smooth = solve(self._charge, grid, periodic_axes(bare))
        if atoms.pbc.all():
            smooth -= self._ions.total / atoms.get_volume()
        self._smooth = DensityField(Density(atoms, grid, smooth))

    @classmethod
    def of(
        cls, field: Field, grid: Grid, core_charges: ArrayLike,
        tables: AtomicDensityTables | None = None,
    ) -> Self:  # fmt: skip
        """Return that of a density given as a field, taken on a grid; see the class."""
        return cls(field.atoms, grid, values_on(field, grid), core_charges, tables, field.level)

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        return self._ions.at(points) + self._smooth_at(points)

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        near = self._ions.box(grid, start, stop)
        if grid == self._grid:
            return near + self._smooth.box(grid, start, stop)
        points = grid.points(start, stop)
        return near + self._smooth_at(points.reshape(-1, 3)).reshape(near.shape)

    def _smooth_at(self, points: FloatArray) -> FloatArray:
        values = self._smooth.at(points)
        outside = self._smooth.is_outside(points)
        if outside.any() and not self.atoms.pbc.any():
            values[outside] = self._from_afar(points[outside])
        return values

    def _from_afar(self, points: FloatArray) -> FloatArray:
        """Return the potential of the charges of the grid's points at points outside it."""
        charges = self._charge.ravel() * self._grid.voxel_volume
        seen = np.flatnonzero(np.abs(charges) > _NO_CHARGE)
        places = self._grid.points().reshape(-1, 3)[seen]
        result: FloatArray = COULOMB * _coulomb_sums(points, places, charges[seen])
        return result


@compiled(fast=frozenset({"fast"}))
def _coulomb_sums(points: Any, places: Any, charges: Any) -> Any:
    result = np.zeros(len(points))
    for p in range(len(points)):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        total = 0.0
        for c in range(len(charges)):
            dx, dy, dz = places[c, 0] - x, places[c, 1] - y, places[c, 2] - z
            total += charges[c] / np.sqrt(dx * dx + dy * dy + dz * dz)
        result[p] = total
    return result
