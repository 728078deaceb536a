"""The dipole moment.

The charges are those of the electrons and of the nuclei, with what electrons the density leaves
out. The moment is taken about the centre of the positive charges, where these have none themselves:
mu = -integral (r - R_c) rho(r). It points from negative to positive charge. For a neutral structure
it does not depend on R_c; for a charged one, or where a grid cuts some of the density off, it does.

Along directions in which the structure is periodic there is no such thing: the result would depend
on where the cell is cut. These components are left out, and of a crystal nothing is given. Of a
slab the moment of one cell across the slab remains, of a chain the two components across it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import ase.units
import numpy as np

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.reductions.reduction import Integral, Subject

DEBYE = 1.0 / ase.units.Debye
"""One elementary charge times one Å, in debye (4.803...)."""


class Dipole(Integral):
    """The dipole moment.

    Its result holds the components x, y, z and their magnitude in e Å, and `debye`, the magnitude
    in debye.

    Args:
        centre: (3,) centre of the positive charges, Å.
        directions: (k, 3) orthonormal directions without periodicity.
    """

    name = "dipole"
    unit = "e Å"
    count = 3

    def __init__(self, centre: FloatArray, directions: FloatArray) -> None:
        super().__init__()
        self._centre = centre
        self._directions = directions

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one, or None for crystals and where the positive charges are unknown."""
        charges, atoms = subject.core_charges, subject.atoms
        if charges is None or not charges.sum() > 0 or atoms.pbc.all():
            return None
        _, sizes, rows = np.linalg.svd(atoms.cell.array[atoms.pbc])
        return cls(charges @ atoms.positions / charges.sum(), rows[len(sizes) :])

    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return the moment of the electrons in a box about the centre, e Å."""
        columns = np.sum(values, axis=2, dtype=np.float64)
        last: FloatArray = np.sum(values, axis=(0, 1), dtype=np.float64)
        # Moments in steps of the grid from the first point of the box.
        steps = np.array([
            layers @ np.arange(len(layers))
            for layers in (columns.sum(axis=1), columns.sum(axis=0), last)
        ])  # fmt: skip
        corner = grid.origin + np.array(start) @ grid.voxel - self._centre
        moment: FloatArray = -grid.voxel_volume * (last.sum() * corner + steps @ grid.voxel)
        return [float(component) for component in moment]

    def result(self) -> dict[str, float]:
        """Return the components in e Å, the magnitude in e Å and in debye."""
        vector = self._directions.T @ (self._directions @ np.array(self._sums.totals()))
        x, y, z = vector.tolist()
        size = float(np.linalg.norm(vector))
        return {"x": x, "y": y, "z": z, "magnitude": size, "debye": size * DEBYE}

    @staticmethod
    def describe(result: Any) -> str:
        """Return the magnitude in debye."""
        return f"dipole {result['debye']:.3f} D"

    @staticmethod
    def difference(one: Any, other: Any) -> float:
        """Return the length of the difference of two moments, e Å."""
        return float(np.linalg.norm([one[axis] - other[axis] for axis in "xyz"]))
