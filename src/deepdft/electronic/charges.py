"""Charges, moments and the electrostatic potential of a density.

A predicted density misses the number of electrons by a few thousandths. It is multiplied with one
number, so that it has as many as its structure: otherwise the charges would not add up, and every
molecule would look charged from afar.

>>> import deepdft
>>> from ase.build import molecule
>>> density = deepdft.predict(molecule("H2O"), "default", spacing=0.2)
>>> found = charges_and_moments(density)
>>> abs(round(float(sum(found.charges)), 6)), bool(found.charges[0] < 0 < found.charges[1])
(0.0, True)
>>> bool(electrostatic_potential(density).at([[0.0, 0.0, 3.0]])[0] < 0)
True
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.density import Density, Grid
from deepdft.electronic.ions import clouds_at, core_charges_at
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.field import OnBoxes
from deepdft.fields.potential import ElectrostaticPotential
from deepdft.fields.reductions import Subject, reductions_of
from deepdft.fields.reductions.dipole import DEBYE
from deepdft.fields.reductions.quadrupole import quadrupole_of_ions
from deepdft.fields.walk import Progress, slabs, walk
from deepdft.levels import LevelOfTheory
from deepdft.structures import charge_and_multiplicity

_LARGEST_CORRECTION = 0.1
"""Relative error of the number of electrons beyond which nothing is made of a density."""


@dataclass(frozen=True)
class ChargesAndMoments:
    """What was added up over a density, with the right number of electrons.

    Attributes:
        electrons: what the density holds on the grid, before it was corrected.
        expected_electrons: what the structure has at its level of theory.
        dipole: (3,) e Å, from negative to positive charge, about the centre of the ions' charges;
            zero along periodic directions; None for crystals.
        quadrupole: traceless moment (Buckingham) about the centre of mass, D Å: xx, yy, zz, xy, xz
            and yz; None for what is periodic.
        charges: (atoms,) Hirshfeld's charges, e.
    """

    electrons: float
    expected_electrons: float
    dipole: FloatArray | None
    quadrupole: dict[str, float] | None
    charges: FloatArray

    @property
    def debye(self) -> float | None:
        """The magnitude of the dipole moment, D."""
        return None if self.dipole is None else float(np.linalg.norm(self.dipole)) * DEBYE


def charges_and_moments(
    density: Density, core_charges: FloatArray | None = None
) -> ChargesAndMoments:
    """Return charges and moments of a density on a grid.

    Args:
        density: of a molecule with some vacuum, or of a whole cell. Its structure's net charge is
            ``density.atoms.info["charge"]``, or zero.
        core_charges: (atoms,) charge of each nucleus with the electrons that the density leaves
            out, e; by default as the level of theory has it.

    Raises:
        LevelOfTheoryError: if the core charges are not known.
        UnsupportedStructureError: if an element has no free atom to share the density with.
        ConfigurationError: if the density has by far too many or too few electrons.
    """
    field = ValuesOnGrid(density.values)
    return charges_and_moments_over(field, density.atoms, density.level, density.grid, core_charges)


def charges_and_moments_over(
    field: OnBoxes, atoms: Atoms, level: LevelOfTheory, grid: Grid,
    core_charges: FloatArray | None = None, progress: Progress | None = None,
) -> ChargesAndMoments:  # fmt: skip
    """Return charges and moments of a density of any size, which is walked through once.

    As `charges_and_moments`; memory does not grow with the grid.
    """
    charges = core_charges_at(level, atoms) if core_charges is None else core_charges
    reductions = reductions_of(Subject(atoms, level, grid, charges), ["hirshfeld"])
    for _ in walk(field, grid, slabs(grid), reductions, progress):
        pass
    found: dict[str, Any] = reductions.results()
    if "hirshfeld" not in found:
        # Says which element it is.
        from deepdft.fields.free_atoms import FreeAtomTables

        FreeAtomTables.load().free_atoms(atoms.numbers)
    expected = float(charges.sum()) - charge_and_multiplicity(atoms)[0]
    factor = _factor(found["electrons"], expected)
    dipole, quadrupole = found.get("dipole"), found.get("quadrupole")
    if quadrupole is not None:
        ions = quadrupole_of_ions(atoms, charges)
        quadrupole = {name: ions[name] - factor * (ions[name] - quadrupole[name]) for name in ions}
    return ChargesAndMoments(
        electrons=found["electrons"],
        expected_electrons=expected,
        dipole=None if dipole is None else factor * np.array([dipole[axis] for axis in "xyz"]),
        quadrupole=quadrupole,
        charges=charges - factor * (charges - np.array(found["hirshfeld"])),
    )


def electrostatic_potential(
    density: Density, core_charges: FloatArray | None = None,
    tables: AtomicDensityTables | None = None,
) -> ElectrostaticPotential:  # fmt: skip
    """Return the electrostatic potential of a density and its ions, in V.

    Args:
        density: of a molecule with some vacuum, or of a whole cell.
        core_charges: see `charges_and_moments`.
        tables: atomic densities of its level of theory; by default those that are shipped.

    Raises:
        LevelOfTheoryError, ConfigurationError: see `charges_and_moments` and the potential itself.
    """
    atoms, level = density.atoms, density.level
    charges = core_charges_at(level, atoms) if core_charges is None else core_charges
    net_charge = charge_and_multiplicity(atoms)[0]
    _factor(density.n_electrons, float(charges.sum()) - net_charge)
    known = clouds_at(level, atoms) if tables is None else tables
    return ElectrostaticPotential(
        atoms, density.grid, density.values, charges, known, level, net_charge
    )


class ValuesOnGrid:
    """Values on one grid, box by box."""

    def __init__(self, values: NDArray[np.floating[Any]]) -> None:
        self._values = values

    def box(self, grid: Grid, start: Index, stop: Index) -> NDArray[np.floating[Any]]:
        """Return the values on the index box start:stop of the grid."""
        return self._values[tuple(slice(*span) for span in zip(start, stop, strict=True))]


def _factor(electrons: float, expected: float) -> float:
    if not abs(electrons - expected) < _LARGEST_CORRECTION * expected:
        raise ConfigurationError(
            f"The density has {electrons:.2f} electrons and its structure {expected:g}: it is of "
            "other core electrons or another charge, or its grid cuts much of it off."
        )
    return expected / electrons
