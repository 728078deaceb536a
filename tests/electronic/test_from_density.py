"""Energies and orbitals of a density, against PySCF's own converged calculation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
from ase import Atoms
from ase.build import molecule

import deepdft
from deepdft.dft.pyscf import MeanField, PySCFSettings, grids_of, molecule_of
from deepdft.electronic import from_density
from deepdft.electronic.fitting import OwnFitting
from deepdft.electronic.from_density import KOHN_SHAM_SHARE
from deepdft.electronic.one_step import FockBuilder
from deepdft.errors import CalculationError, ConfigurationError, LevelOfTheoryError
from deepdft.fields.orbitals import OrbitalDensity
from deepdft.levels import LevelOfTheory
from deepdft.units import HARTREE

pytest.importorskip("pyscf")
from deepdft.dft.pyscf_integration import CompiledFunctions

ACCURATE = PySCFSettings(convergence=1e-11, heavy_grid=(45, 170), hydrogen_grid=(40, 170))


def turned(name: str) -> Atoms:
    atoms = molecule(name)
    atoms.rotate(40, (1, 2, 3))
    return atoms


def converged(atoms: Atoms, folder: Path, settings: PySCFSettings):
    program = MeanField(atoms, settings, folder / "log")
    return program.converge(settings.functional), program.program


@pytest.mark.parametrize("functional", ["PBE", "CA"])
def test_the_converged_density_gives_the_converged_energy(tmp_path, functional):
    settings = ACCURATE.model_copy(update={"functional": functional})
    reference, program = converged(turned("H2O"), tmp_path, settings)
    found = from_density(reference.density, settings=settings)
    exact = reference.energy
    for energy in (found.energy, found.harris_energy, found.kohn_sham_energy):
        assert energy == pytest.approx(exact, abs=1e-6 * HARTREE)
    levels = program.mo_energy * HARTREE
    np.testing.assert_allclose(found.orbital_energies[:5], levels[:5], atol=5e-4)
    np.testing.assert_allclose(found.dipole, reference.density.atoms.info["dipole"], atol=1e-4)
    assert found.gap == pytest.approx(reference.details["gap"], abs=1e-3)


def test_a_predicted_density_brackets_the_energy(tmp_path):
    atoms = turned("CH3OH")
    model = deepdft.load_model("qm9")
    reference, program = converged(atoms, tmp_path, PySCFSettings(convergence=1e-9))
    found = from_density(model.engine(atoms))
    assert found.harris_energy < reference.energy < found.kohn_sham_energy
    mixed = found.harris_energy + KOHN_SHAM_SHARE * found.bracket
    assert found.energy == pytest.approx(mixed, abs=1e-9)
    assert found.bracket == pytest.approx(found.kohn_sham_energy - found.harris_energy)
    assert abs(found.energy - reference.energy) < 1e-4 * HARTREE
    again = from_density(model.engine(atoms), steps=3)
    assert again.kohn_sham_energy - reference.energy < 0.5 * (
        found.kohn_sham_energy - reference.energy
    )
    # Levels are better than those of the Fock matrix that was diagonalised.
    exact = program.mo_energy[:7] * HARTREE
    plain = scipy.linalg.eigh(found.fock, found.overlap, eigvals_only=True)[:7] * HARTREE
    errors = [np.abs(levels[:7] - exact).mean() for levels in (found.orbital_energies, plain)]
    assert errors[0] < 0.8 * errors[1]
    # The energy that PySCF finds for the same density matrix.
    energy = program.energy_tot(dm=found.density_matrix) * HARTREE
    # That of a millionth of an electron is left out.
    assert found.kohn_sham_energy == pytest.approx(energy, abs=1e-5)


def test_shifts_of_levels_from_integrals_and_from_points(tmp_path):
    atoms, settings = turned("CH3OH"), PySCFSettings()
    field = deepdft.load_model("qm9").engine(atoms)
    molecule = molecule_of(atoms, settings, tmp_path / "log")
    grids = grids_of(molecule, settings)
    shifts = []
    for memory in (4000.0, 0.0):  # the integrals are kept, or not
        fitting = OwnFitting(molecule, settings.auxiliary_basis, memory)
        functions = CompiledFunctions()
        builder = FockBuilder(molecule, fitting, grids, functions, "PBE", "GGA", 4000.0)
        given = builder.of_field(field)
        step = builder.diagonalised(given)
        found = builder.of_matrix(step.matrix)
        shifts.append(builder.level_shifts(step, given, found)[:8])
    change = builder.coulomb.matrix(found.fitted - given.fitted)
    expected = np.diag(step.orbitals.T @ change @ step.orbitals)[:8]
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(shifts[0], expected, atol=1e-9)
    np.testing.assert_allclose(shifts[1], expected, atol=2e-6)


def test_what_is_no_density_of_the_molecule_is_refused(tmp_path):
    atoms = turned("H2O")
    reference, _ = converged(atoms, tmp_path, PySCFSettings())
    density = reference.density

    def with_level(level: LevelOfTheory, occupations: float = 2.0) -> OrbitalDensity:
        return OrbitalDensity(atoms, "gth-dzvp", density.coefficients, occupations, level)

    all_electron = with_level(LevelOfTheory("PBE", "all-electron", "gth-dzvp"))
    with pytest.raises(LevelOfTheoryError, match="all-electron"):
        from_density(all_electron)
    unknown = with_level(LevelOfTheory())
    with pytest.raises(LevelOfTheoryError, match="functional"):
        from_density(unknown)
    half = with_level(density.level, 1.0)
    with pytest.raises(CalculationError, match=r"4\.00 electrons and the molecule has 8"):
        from_density(half)
    with pytest.raises(ConfigurationError, match="more than the density"):
        from_density(density, settings=PySCFSettings(functional="PBE0"))
    with pytest.raises(ConfigurationError, match="one step or more"):
        from_density(density, steps=0)
