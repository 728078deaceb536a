"""Wave function files of CP2K, record by record; the program itself has read one of them."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule
from scipy.io import FortranFile

import deepdft
from deepdft.electronic import cp2k_start, from_density
from deepdft.units import HARTREE

pytest.importorskip("pyscf")


def test_what_a_fortran_program_reads(tmp_path):
    atoms = molecule("CH3OH")
    found = from_density(deepdft.load_model("default").engine(atoms))
    cp2k_start(found, tmp_path / "start.wfn")
    with FortranFile(tmp_path / "start.wfn") as file:
        assert file.read_ints().tolist() == [6, 1, 46, 2, 4]
        assert file.read_ints().tolist() == [2] * 6
        # C, O, and hydrogens: s s p p and d; s s and p.
        assert file.read_ints().reshape(6, 2).tolist() == [[4, 1]] * 2 + [[2, 1]] * 4
        functions = file.read_ints().reshape(6, 2, 4)
        assert functions[1].tolist() == [[1, 1, 3, 3], [5, 0, 0, 0]]
        assert functions[-1].tolist() == [[1, 1, 0, 0], [3, 0, 0, 0]]
        assert file.read_ints().tolist() == [7, 7, 7, 14]
        energies, occupations = file.read_reals().reshape(2, 7)
        np.testing.assert_allclose(energies * HARTREE, found.orbital_energies[:7])
        assert occupations.tolist() == [2.0] * 7
        orbitals = np.array([file.read_reals() for _ in range(7)]).T
    assert orbitals.shape == (46, 7)
    # Of carbon s, s, then y, z, x where PySCF has x, y, z; d functions stand alike.
    np.testing.assert_array_equal(orbitals[:8], found.orbitals[[0, 1, 3, 4, 2, 6, 7, 5], :7])
    np.testing.assert_array_equal(orbitals[8:13], found.orbitals[8:13, :7])
    np.testing.assert_array_equal(orbitals[-3:], found.orbitals[[44, 45, 43], :7])
