"""Overlap integrals against PySCF."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.fields.orbitals import contracted_shell, load_basis
from deepdft.fields.orbitals.overlap import overlap_matrix
from deepdft.units import BOHR

gto = pytest.importorskip("pyscf.gto")


def molecule_of(atoms, basis, cartesian=False):
    return gto.M(
        atom=[(s, p / BOHR) for s, p in zip(atoms.symbols, atoms.positions, strict=True)],
        unit="bohr",
        basis=basis,
        spin=None,
        cart=cartesian,
        verbose=0,
    )


@pytest.mark.parametrize("cartesian", [False, True])
def test_every_angular_momentum(cartesian):
    table = [[momentum, [1.9, 0.4], [0.4, 0.8]] for momentum in range(7)]
    shells = tuple(
        contracted_shell(entry[0], [1.9, 0.4], [0.4, 0.8], cartesian=cartesian) for entry in table
    )
    atoms = Atoms("CC", [[0.1, -0.2, 0.3], [0.9, 0.8, -1.1]])
    expected = molecule_of(atoms, {"C": table}, cartesian).intor("int1e_ovlp")
    np.testing.assert_allclose(overlap_matrix(atoms, [shells] * 2), expected, rtol=0, atol=1e-10)


def test_general_contractions():
    atoms = Atoms("HCNOFC", np.random.default_rng(1).normal(scale=1.2, size=(6, 3)))
    expected = molecule_of(atoms, "gth-dzvp").intor("int1e_ovlp")
    shells = load_basis("gth-dzvp").shells(atoms.numbers)
    np.testing.assert_allclose(overlap_matrix(atoms, shells), expected, rtol=0, atol=1e-10)


def test_every_element_that_ships():
    """All 19 elements in one structure, with the basis sets that the reference data name."""
    basis = load_basis("gth-dzvp")
    symbols = list(basis.elements)
    assert len(symbols) == 19
    atoms = Atoms(symbols, np.random.default_rng(2).normal(scale=2.5, size=(19, 3)))
    names = {
        symbol: "gth-dzvp-molopt-sr" if symbol in ("K", "Ca", "Zn", "Br", "I") else "gth-dzvp"
        for symbol in symbols
    }
    expected = molecule_of(atoms, names).intor("int1e_ovlp")
    found = overlap_matrix(atoms, basis.shells(atoms.numbers))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)


def test_periodic():
    gto_periodic = pytest.importorskip("pyscf.pbc.gto")
    vectors = np.array([[3.0, 0.1, 0], [0, 3.3, 0.2], [0.3, 0, 3.1]])
    atoms = Atoms("CO", [[0, 0, 0], [0.9, 0.8, 0.1]], cell=vectors, pbc=True)
    cell = gto_periodic.M(
        atom=[(s, p / BOHR) for s, p in zip(atoms.symbols, atoms.positions, strict=True)],
        a=vectors / BOHR,
        unit="bohr",
        basis="gth-dzvp",
        pseudo="gth-pbe",
        precision=1e-12,
        verbose=0,
    )
    expected = cell.pbc_intor("int1e_ovlp")
    shells = load_basis("gth-dzvp").shells(atoms.numbers)
    np.testing.assert_allclose(overlap_matrix(atoms, shells), expected, rtol=0, atol=1e-8)


def test_nothing():
    assert overlap_matrix(Atoms(), []).shape == (0, 0)
