"""The electronic structure of a molecule from its density, without self-consistency."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.dft.functionals import libxc_code
from deepdft.dft.pyscf import (
    PySCFSettings,
    grids_of,
    level_of,
    molecule_of,
    require_molecule,
)
from deepdft.electronic.fitting import OwnFitting
from deepdft.electronic.occupied_points import occupied_points
from deepdft.electronic.one_step import FockBuilder, Step
from deepdft.electronic.structure import ElectronicStructure
from deepdft.electronic.theory import semilocal_kind, settings_of
from deepdft.errors import ConfigurationError
from deepdft.extras import require_extra
from deepdft.fields.field import Field
from deepdft.units import HARTREE

KOHN_SHAM_SHARE = 0.33
"""Share of the Kohn-Sham energy in the energy that is given, the rest being Harris'.

Of 16 training molecules the share with the smallest mean error (0.08 meV a molecule, 0.23 at most);
see `recipes/electronic/fit_share.py`.
"""

LEVEL_SHARE = 0.3
"""Share of the orbitals' own density in the density whose Coulomb potential the levels are in.

Gaps of 16 training molecules are best with it. Their levels would be with 0.6, but the less, the
less harm where the density is far off; means over validation molecules are smallest with 0.3.
"""

DAMPING = 0.5
"""Share of the last orbitals' density in the density that a further step begins with."""


def from_density(
    field: Field, *, steps: int = 1, settings: PySCFSettings | None = None
) -> ElectronicStructure:
    """Return energies and orbitals of a molecule from its density.

    Args:
        field: the density, for example `model.engine(atoms)`, stored orbitals, or superposed
            atoms. Its structure and its level of theory count.
        steps: diagonalisations; those after the first begin with a mixture of the last two
            densities.
        settings: of PySCF; by default those of the field's level of theory.

    Raises:
        LevelOfTheoryError: if PySCF is not used here at the level of theory of the field.
        UnsupportedStructureError: if the structure is periodic, has unpaired electrons or an
            element that the basis set lacks.
        CalculationError: if the field's number of electrons is not the molecule's.
        ConfigurationError: if `steps` is below 1, or the functional needs more than a density.
        MissingDependencyError: if PySCF is not installed.
    """
    require_extra("pyscf", "An energy from a density")
    if steps < 1:
        raise ConfigurationError(f"There is one step or more, not {steps}.")
    settings = settings or settings_of(field.level)
    builder = _builder(field.atoms, settings)
    given = builder.of_field(field)
    step = builder.diagonalised(given)
    found = builder.of_matrix(step.matrix)
    for _ in range(steps - 1):
        given = given.mixed(found, DAMPING)
        step = builder.diagonalised(given)
        found = builder.of_matrix(step.matrix)
    kohn_sham = builder.kohn_sham(step.matrix, found)
    levels = step.energies + LEVEL_SHARE * builder.level_shifts(step, given, found)
    return _structure(field, settings, builder, step, kohn_sham, levels)


def _builder(atoms: Atoms, settings: PySCFSettings) -> FockBuilder:
    from deepdft.dft.pyscf_integration import CompiledFunctions

    require_molecule(atoms, settings.basis)
    molecule = molecule_of(atoms, settings, Path(os.devnull))
    fitting = OwnFitting(molecule, settings.auxiliary_basis, molecule.max_memory)
    functional = settings.functional
    level = level_of(settings, functional)
    points = occupied_points(grids_of(molecule, settings), atoms, level)
    return FockBuilder(
        molecule, fitting, points, CompiledFunctions(), libxc_code(functional),
        semilocal_kind(functional), molecule.max_memory,
    )  # fmt: skip


def _structure(
    field: Field, settings: PySCFSettings, builder: FockBuilder, step: Step, kohn_sham: float,
    levels: FloatArray,
) -> ElectronicStructure:  # fmt: skip
    occupied = builder.molecule.nelectron // 2
    # Levels may have passed each other, but none between occupied and empty ones.
    order = np.concatenate(
        [np.argsort(levels[:occupied]), occupied + np.argsort(levels[occupied:])]
    )
    energy = KOHN_SHAM_SHARE * kohn_sham + (1 - KOHN_SHAM_SHARE) * step.harris
    return ElectronicStructure(
        atoms=field.atoms.copy(),
        level=level_of(settings, settings.functional),
        energy=energy * HARTREE,
        harris_energy=step.harris * HARTREE,
        kohn_sham_energy=kohn_sham * HARTREE,
        orbital_energies=levels[order] * HARTREE,
        orbitals=step.orbitals[:, order],
        occupied=occupied,
        fock=step.fock,
        overlap=builder.overlap,
        molecule=builder.molecule,
    )
