"""The quadrupole moment of a molecule.

The traceless moment of A. D. Buckingham, Q. Rev. Chem. Soc. 13, 183 (1959):
Theta_ij = 1/2 integral (3 r_i r_j - r^2 delta_ij) q(r), with the charges of the electrons and of
the nuclei with what electrons the density leaves out. It is taken about the centre of mass; where
a molecule has a dipole moment or a charge, it depends on that. The masses are those of the
elements.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import ase.units
import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.reductions.reduction import Integral, Subject

COMPONENTS = {"xx": (0, 0), "yy": (1, 1), "zz": (2, 2), "xy": (0, 1), "xz": (0, 2), "yz": (1, 2)}

_DEBYE = 1.0 / ase.units.Debye


class Quadrupole(Integral):
    """The traceless quadrupole moment about the centre of mass, in debye Å (Buckingham).

    Args:
        atoms: the molecule.
        core_charges: (atoms,) charges of the nuclei with the electrons that the density leaves out.
    """

    name = "quadrupole"
    unit = "D Å"
    count = 6

    def __init__(self, atoms: Atoms, core_charges: FloatArray) -> None:
        super().__init__()
        self._centre = _centre_of_mass(atoms)
        self._nuclei = _moments_of_ions(atoms, core_charges)

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one, or None for what is periodic and for unknown positive charges."""
        if subject.core_charges is None or subject.atoms.pbc.any():
            return None
        return cls(subject.atoms, subject.core_charges)

    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return the second moments of the density in a box about the centre, e Å^2."""
        counts = [high - low for low, high in zip(start, stop, strict=True)]
        steps = [np.arange(count) for count in counts]
        planes = [np.sum(values, axis=axis, dtype=np.float64) for axis in range(3)]
        lines = [planes[2].sum(axis=1), planes[2].sum(axis=0), planes[0].sum(axis=0)]
        total = float(lines[0].sum())
        # Moments in steps of the grid from the first point of the box.
        first = np.array([line @ step for line, step in zip(lines, steps, strict=True)])
        second = np.diag([line @ step**2 for line, step in zip(lines, steps, strict=True)])
        second = second.astype(np.float64)
        for i, j in ((0, 1), (0, 2), (1, 2)):
            second[i, j] = second[j, i] = steps[i] @ planes[3 - i - j] @ steps[j]
        corner = grid.origin + np.array(start) @ grid.voxel - self._centre
        along = np.outer(first @ grid.voxel, corner)
        moments = grid.voxel.T @ second @ grid.voxel + along + along.T
        moments = grid.voxel_volume * (moments + total * np.outer(corner, corner))
        return [float(moments[place]) for place in COMPONENTS.values()]

    def result(self) -> dict[str, float]:
        """Return the components xx, yy, zz, xy, xz and yz in D Å."""
        moments = self._nuclei.copy()
        for place, value in zip(COMPONENTS.values(), self._sums.totals(), strict=True):
            moments[place] -= value
        return _components(moments)

    @staticmethod
    def difference(one: Any, other: Any) -> float:
        """Return the Frobenius norm of the difference of two moments, D Å."""
        squares = [
            (1 + (i != j)) * (one[name] - other[name]) ** 2 for name, (i, j) in COMPONENTS.items()
        ]
        return float(np.sqrt(sum(squares)))


def quadrupole_of_ions(atoms: Atoms, core_charges: FloatArray) -> dict[str, float]:
    """Return the part of a molecule's moment that is the ions', D Å."""
    return _components(_moments_of_ions(atoms, core_charges))


def _centre_of_mass(atoms: Atoms) -> FloatArray:
    masses = atomic_masses[atoms.numbers]
    centre: FloatArray = masses @ atoms.positions / masses.sum()
    return centre


def _moments_of_ions(atoms: Atoms, core_charges: FloatArray) -> FloatArray:
    places = atoms.positions - _centre_of_mass(atoms)
    moments: FloatArray = np.einsum("a,ai,aj->ij", core_charges, places, places)
    return moments


def _components(moments: FloatArray) -> dict[str, float]:
    """Return the traceless moment in D Å of second moments (3, 3) in e Å^2."""
    traceless = 1.5 * moments - 0.5 * np.trace(moments) * np.eye(3)
    return {name: float(traceless[at]) * _DEBYE for name, at in COMPONENTS.items()}
