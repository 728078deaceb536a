"""Starts of PySCF's calculations: fewer iterations to the same energy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.electronic import doubts, initial_guess
from deepdft.errors import LevelOfTheoryError, UnsupportedStructureError

pyscf = pytest.importorskip("pyscf")


def mean_field(atoms: Atoms, kind: str = "RKS", functional: str = "PBE", **options):
    from pyscf import dft, gto, scf

    options = {"basis": "gth-dzvp", "pseudo": "gth-pbe", "verbose": 0, **options}
    structure = [(int(z), tuple(r)) for z, r in zip(atoms.numbers, atoms.positions, strict=True)]
    built = gto.M(atom=structure, **options)
    field = getattr(dft if kind.endswith("KS") else scf, kind)(built)
    if kind.endswith("KS"):
        field.xc = functional
        field.grids.level = 1
    field.conv_tol = 1e-8
    return field.density_fit("def2-universal-jkfit")


def cycles(field, start=None) -> int:
    field.kernel(dm0=start)
    assert field.converged
    return int(field.cycles)


@pytest.mark.parametrize(
    ("kind", "functional", "basis", "saved"),
    [
        ("RKS", "PBE", "gth-dzvp", 2),
        ("RKS", "BLYP", "gth-tzvp", 1),
        ("UKS", "PBE", "gth-dzvp", 2),
        ("RKS", "PBE0", "gth-dzvp", 1),
    ],
)
def test_iterations_are_saved(kind, functional, basis, saved):
    atoms = molecule("CH3OH")
    field = mean_field(atoms, kind, functional, basis=basis)
    start = initial_guess(field)
    before, energy = cycles(field), field.e_tot
    after = cycles(field, start)
    assert field.e_tot == pytest.approx(energy, abs=1e-6)
    assert before - after >= saved


def test_the_start_is_a_density_matrix_of_the_molecule():
    field = mean_field(molecule("CH3OH"))
    start = np.asarray(initial_guess(field))
    overlap = field.get_ovlp()
    assert np.vdot(start, overlap) == pytest.approx(14, abs=1e-10)
    np.testing.assert_allclose(start @ overlap @ start, 2 * start, atol=1e-10)
    without_fitting = pyscf.dft.RKS(field.mol)
    without_fitting.xc = "PBE"
    np.testing.assert_allclose(np.asarray(initial_guess(without_fitting)), start, atol=2e-3)


def test_other_cores_are_refused_by_name():
    with pytest.raises(LevelOfTheoryError, match="all electrons, and the density is of GTH-PBE"):
        initial_guess(mean_field(molecule("H2O"), basis="def2-svp", pseudo=None))
    with pytest.raises(LevelOfTheoryError, match="gth-blyp"):
        initial_guess(mean_field(molecule("H2O"), pseudo="gth-blyp"))


def test_unpaired_electrons_are_refused():
    with pytest.raises(UnsupportedStructureError, match="1 unpaired"):
        initial_guess(mean_field(molecule("CH3"), "UKS", spin=1))


def test_where_it_would_not_pay_the_program_starts_as_ever():
    atoms = molecule("CH3OH")
    # A stretched bond, which the model has not seen.
    atoms.positions[-1] += 1.5
    field = mean_field(atoms)
    with pytest.warns(UserWarning, match=r"outside what the model knows.*PySCF's own guess"):
        start = initial_guess(field)
    np.testing.assert_array_equal(start, field.get_init_guess())


@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [("LARGEST_BRACKET", 0.0, "meV apart"), ("SMALLEST_GAP", 50.0, r"gap .* is \d\.\d\d eV")],
)
def test_the_first_diagonalisation_decides_as_well(monkeypatch, limit, value, words):
    field = mean_field(molecule("CH3OH"))
    monkeypatch.setattr(doubts, limit, value)
    with pytest.warns(UserWarning, match=f"{words}.*PySCF's own guess"):
        start = initial_guess(field)
    np.testing.assert_array_equal(start, field.get_init_guess())
