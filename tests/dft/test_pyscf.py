"""Calculations with PySCF: the reference data again, orbitals against PySCF."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.density import Grid
from deepdft.dft.pyscf import PySCFCalculation, PySCFSettings
from deepdft.errors import (
    CalculationError,
    ConfigurationError,
    MissingDependencyError,
    UnsupportedStructureError,
)
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.units import BOHR, HARTREE, PER_CUBIC_BOHR

pytest.importorskip("pyscf")

SAMPLE = Path(__file__).parents[1] / "data" / "qm9_sample.npz"


def water() -> Atoms:
    atoms = molecule("H2O")
    atoms.rotate(40, (1, 2, 3))
    return atoms


def test_the_reference_data_come_out_again(tmp_path):
    archive = OrbitalArchive(SAMPLE)
    reference = archive[archive.position_of(21511)]
    bare = Atoms(reference.atoms.numbers, reference.atoms.positions)
    result = PySCFCalculation().run(bare, tmp_path)
    grid = Grid.around(bare, 0.2, 4.0)
    difference = reference.on_grid(grid).compare(result.density.on_grid(grid))
    # The noise of the labels, from their grid and convergence, is 0.03 %.
    assert difference.eps_mae < 3e-4
    assert result.energy == pytest.approx(reference.atoms.info["energy"], abs=2e-3)
    np.testing.assert_allclose(result.details["dipole"], reference.atoms.info["dipole"], atol=1e-3)


def test_orbitals_and_energies_are_those_of_pyscf(tmp_path):
    from pyscf import dft, gto

    atoms = water()
    settings = PySCFSettings(functional="RPBE", convergence=1e-9)
    result = PySCFCalculation(settings).run(atoms, tmp_path)
    assert str(result.density.level).startswith("RPBE/GTH-PBE/gth-dzvp (PySCF")
    own = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        basis="gth-dzvp", pseudo="gth-pbe", verbose=0,
    )  # fmt: skip
    field = dft.RKS(own, xc="RPBE").density_fit("def2-universal-jfit")
    field.conv_tol = 1e-9
    field.grids.atom_grid = {"H": (15, 86), "O": (20, 86)}
    assert result.energy == pytest.approx(field.kernel() * HARTREE, abs=1e-6)
    energies = field.mo_energy * HARTREE
    assert result.details["homo"] == pytest.approx(energies[3], abs=1e-5)
    assert result.details["lumo"] == pytest.approx(energies[4], abs=1e-5)
    assert result.details["gap"] == pytest.approx(energies[4] - energies[3], abs=1e-5)
    np.testing.assert_allclose(result.details["occupied_orbital_energies"], energies[:4], atol=1e-5)
    points = np.random.default_rng(1).normal(size=(50, 3))
    values = dft.numint.eval_rho(
        own, dft.numint.eval_ao(own, points / BOHR), field.make_rdm1()
    ) * PER_CUBIC_BOHR  # fmt: skip
    np.testing.assert_allclose(result.density.at(points), values, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("symbols", "positions", "charge", "electrons"),
    [
        ("OH", [[0, 0, 0], [0, 0.2, 0.95]], -1, 8),
        ("LiBr", [[0, 0, 0], [0, 0.3, 2.1]], 0, 10),
        ("ZnH", [[0, 0, 0], [0, 0.3, 1.5]], 1, 12),
    ],
)
def test_ions_and_heavier_elements(tmp_path, symbols, positions, charge, electrons):
    """Energies and densities of PySCF with the settings of the reference data."""
    from pyscf import dft, gto

    atoms = Atoms(symbols, positions)
    atoms.info["charge"] = charge
    result = PySCFCalculation(PySCFSettings(convergence=1e-8)).run(atoms, tmp_path)
    own = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        basis={"H": "gth-dzvp", "O": "gth-dzvp", "Li": "gth-dzvp",
               "Br": "gth-dzvp-molopt-sr", "Zn": "gth-dzvp-molopt-sr"},
        pseudo="gth-pbe", charge=charge, verbose=0,
    )  # fmt: skip
    field = dft.RKS(own, xc="PBE").density_fit("def2-universal-jfit")
    field.conv_tol = 1e-8
    field.grids.atom_grid = {
        "H": (15, 86), "O": (20, 86), "Li": (28, 110), "Br": (28, 110), "Zn": (28, 110)
    }  # fmt: skip
    assert result.energy == pytest.approx(field.kernel() * HARTREE, abs=1e-6)
    assert result.density.n_electrons == electrons
    points = np.random.default_rng(1).normal(scale=1.5, size=(50, 3))
    values = dft.numint.eval_rho(
        own, dft.numint.eval_ao(own, points / BOHR), field.make_rdm1()
    ) * PER_CUBIC_BOHR  # fmt: skip
    np.testing.assert_allclose(result.density.at(points), values, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("functional", ["LDA_X,LDA_C_PW", "PBE", "r2SCAN"])
@pytest.mark.parametrize("memory", [0, 4000])
def test_integration_is_that_of_pyscf(monkeypatch, functional, memory):
    from pyscf import dft, gto, lib

    from deepdft.dft.pyscf_integration import KeptFunctions

    monkeypatch.setattr("deepdft.dft.pyscf_integration._BLOCK", 700)
    atoms = water()
    symbols = atoms.get_chemical_symbols()
    own = gto.M(
        atom=list(zip(symbols, atoms.positions, strict=True)),
        basis="gth-dzvp", pseudo="gth-pbe", verbose=0,
    )  # fmt: skip
    grids = dft.Grids(own)
    grids.atom_grid = (15, 86)
    grids.build()
    plain = dft.RKS(own).get_init_guess()
    orbitals = np.linalg.qr(np.random.default_rng(0).normal(size=(own.nao, 4)))[0]
    occupations = np.full(4, 2.0)
    matrix = 2 * orbitals @ orbitals.T
    tagged = lib.tag_array(matrix, mo_coeff=orbitals, mo_occ=occupations)
    ours = KeptFunctions()
    for given in (np.asarray(plain), tagged, matrix, tagged):
        expected = dft.numint.NumInt().nr_rks(own, grids, functional, given)
        found = ours.nr_rks(own, grids, functional, given, max_memory=memory)
        assert found[0] == pytest.approx(expected[0], rel=1e-10)
        assert found[1] == pytest.approx(expected[1], rel=1e-10)
        np.testing.assert_allclose(found[2], expected[2], rtol=0, atol=1e-9)


def test_what_cannot_be_calculated_is_said(tmp_path, monkeypatch):
    calculation = PySCFCalculation()
    radical = molecule("CH3")
    radical.set_initial_magnetic_moments(None)
    with pytest.raises(UnsupportedStructureError, match="an odd number"):
        calculation.run(radical, tmp_path)
    triplet = water()
    triplet.info["multiplicity"] = 3
    with pytest.raises(UnsupportedStructureError, match="closed-shell"):
        calculation.run(triplet, tmp_path)
    partly = water()
    partly.info["charge"] = 0.5
    with pytest.raises(UnsupportedStructureError, match=r"0\.5"):
        calculation.run(partly, tmp_path)
    periodic = water()
    periodic.cell, periodic.pbc = np.eye(3) * 8, True
    with pytest.raises(UnsupportedStructureError, match="cp2k or gpaw"):
        calculation.run(periodic, tmp_path)
    with pytest.raises(UnsupportedStructureError, match="Xe"):
        calculation.run(Atoms("Xe"), tmp_path)
    with pytest.raises(CalculationError, match="did not converge with PBE in 1 iterations"):
        PySCFCalculation(PySCFSettings(max_iterations=1)).run(water(), tmp_path)
    with pytest.raises(ConfigurationError, match="no functional 'PBEE'"):
        PySCFCalculation(PySCFSettings(functional="PBEE")).versions()
    with pytest.raises(ConfigurationError, match="auxiliary_basis=def2-universal-jkfit"):
        PySCFCalculation(PySCFSettings(functional="PBE0")).versions()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'deepdft-density\[dft\]'"):
        calculation.versions()


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_a_limit_of_the_file_size_does_not_end_the_process(tmp_path):
    # PySCF's own checkpoint would be larger, and HDF5 crashes with it.
    script = """
import resource
from pathlib import Path
from ase import Atoms
from deepdft.dft import create_calculation
calculation = create_calculation("pyscf", [])
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
hydrogen = Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.74]])
print(calculation.run(hydrogen, Path(".")).energy)
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert float(ended.stdout) == pytest.approx(-31.5587, abs=1e-3)
