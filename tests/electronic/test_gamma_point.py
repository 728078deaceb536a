"""Orbitals at the Gamma point, against PySCF's own periodic calculations."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from scipy.io import FortranFile

from deepdft.electronic import orbitals_at_gamma
from deepdft.electronic.gamma_point import BASIS
from deepdft.electronic.start_folders import start_folder
from deepdft.errors import ConfigurationError, LevelOfTheoryError, UnsupportedStructureError
from deepdft.fields.orbitals import OrbitalDensity
from deepdft.levels import LevelOfTheory
from deepdft.units import HARTREE

pytest.importorskip("pyscf")

LEVEL = LevelOfTheory("PBE", "GTH-PBE", BASIS)


def water() -> Atoms:
    positions = [[0.1, 0.2, 0.1], [1.06, 0.2, 0.1], [-0.14, 1.13, 3.9]]
    return Atoms("OH2", positions, cell=[[4.0, 0, 0], [0.4, 4.2, 0], [0, 0.3, 3.9]], pbc=True)


def some_orbitals(atoms: Atoms):
    """Orthonormal orbitals that are not those of the ground state, and PySCF's calculation."""
    import scipy.linalg
    from pyscf.pbc import dft, gto

    cell = gto.M(
        a=atoms.cell.array, basis="gth-dzvp-molopt-sr", pseudo="gth-pbe", verbose=0,
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
    )  # fmt: skip
    cell.mesh = [50, 54, 50]
    cell.build()
    field = dft.RKS(cell, xc="PBE")
    core, overlap = np.asarray(field.get_hcore()).real, np.asarray(field.get_ovlp()).real
    _, orbitals = scipy.linalg.eigh(core, overlap)
    matrix = 2.0 * orbitals[:, :4] @ orbitals[:, :4].T
    fock = np.asarray(field.get_fock(dm=matrix)).real
    return orbitals[:, :4], scipy.linalg.eigh(fock, overlap)


def test_levels_and_orbitals_are_those_of_pyscf():
    atoms = water()
    given, (energies, orbitals) = some_orbitals(atoms)
    found = orbitals_at_gamma(OrbitalDensity(atoms, BASIS, given, 2.0, LEVEL), spacing=0.08)
    # PySCF's short-ranged pseudopotentials are analytic, and the zero is another.
    ours, theirs = found.orbital_energies[:10], HARTREE * energies[:10]
    np.testing.assert_allclose(ours - ours[0], theirs - theirs[0], atol=5e-3)
    theirs = OrbitalDensity(atoms, BASIS, orbitals[:, :4], 2.0, LEVEL)
    points = np.random.default_rng(0).random((500, 3)) @ atoms.cell.array
    expected = theirs.at(points)
    error = np.abs(found.density.at(points) - expected).sum() / expected.sum()
    assert found.occupied == 4
    assert error < 3e-4
    # A test of nothing if the given density had been right already.
    given = OrbitalDensity(atoms, BASIS, given, 2.0, LEVEL).at(points)
    assert np.abs(given - expected).sum() / expected.sum() > 0.05


def test_what_is_refused():
    atoms = water()
    coefficients = np.zeros((23, 4))
    for level in (LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp"), LevelOfTheory("PBE")):
        with pytest.raises(LevelOfTheoryError, match=BASIS):
            orbitals_at_gamma(OrbitalDensity(atoms, BASIS, coefficients, 2.0, level))
    atoms.pbc = (True, True, False)
    with pytest.raises(UnsupportedStructureError, match="three directions"):
        orbitals_at_gamma(OrbitalDensity(atoms, BASIS, coefficients, 2.0, LEVEL))
    atoms = water()
    atoms.info["charge"] = 1
    with pytest.raises(UnsupportedStructureError, match="neutral"):
        orbitals_at_gamma(OrbitalDensity(atoms, BASIS, coefficients, 2.0, LEVEL))


def test_cp2k_reads_one_set_of_functions(tmp_path):
    atoms = water()
    given, _ = some_orbitals(atoms)
    found = orbitals_at_gamma(OrbitalDensity(atoms, BASIS, given, 2.0, LEVEL), spacing=0.2)
    command = start_folder(found, "cp2k", tmp_path)
    text = (tmp_path / command.split()[-1]).read_text()
    assert "SCF_GUESS RESTART" in text
    assert "WFN_RESTART_FILE_NAME start.wfn" in text
    assert "BASIS_SET DZVP-MOLOPT-SR-GTH" in text
    with pytest.raises(ConfigurationError, match="Quantum ESPRESSO, not in pyscf"):
        start_folder(found, "pyscf", tmp_path / "other")
    assert not (tmp_path / "other").exists()
    with FortranFile(tmp_path / "start.wfn") as file:
        assert file.read_ints().tolist() == [3, 1, 23, 1, 5]
        assert file.read_ints().tolist() == [1] * 3
        assert file.read_ints().tolist() == [5, 3, 3]
        assert file.read_ints().reshape(3, 5).tolist() == [[1, 1, 3, 3, 5]] + [[1, 1, 3, 0, 0]] * 2
        assert file.read_ints().tolist() == [4, 4, 4, 8]
        file.read_reals()
        orbital = file.read_reals()
    # y, z, x where PySCF has x, y, z.
    np.testing.assert_array_equal(orbital[2:5], found.orbitals[[3, 4, 2], 0])
