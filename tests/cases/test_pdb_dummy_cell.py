"""Cells that only hold a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.structures import read_structures, understood_atoms

PDB = Path(__file__).parent / "nmr.pdb"


def test_the_cell_of_nmr_structures(run, small_model):
    result = run("predict", PDB, "-m", small_model, "-o", "nmr.cube", "--spacing", 0.3)
    assert result.code == 0, result.error
    assert "(expected 8)" in result.output
    assert "note: nmr: the cell of 1 Å only holds a place" in result.output


@pytest.mark.parametrize("lengths", [(1, 1, 1), (0, 0, 0), (9999.999,) * 3, (99999.999,) * 3])
def test_placeholders_in_pdb(lengths, tmp_path):
    cell = "".join(f"{length:9.3f}" for length in lengths)
    text = PDB.read_text().replace("    1.000    1.000    1.000", cell)
    (tmp_path / "x.pdb").write_text(text)
    (structure,) = read_structures(tmp_path / "x.pdb")
    assert not structure.atoms.pbc.any()
    assert not structure.atoms.cell.any()
    assert "only holds a place" in " ".join(structure.notes) or "no size" in structure.notes[0]


@pytest.mark.parametrize("length", [0.0, 1.0, 1e6])
def test_placeholders_of_any_structure(length):
    atoms = molecule("H2O", cell=[length] * 3, pbc=True)
    structure = understood_atoms(atoms)
    assert not structure.atoms.pbc.any()
    assert len(structure.notes) == 1
    assert atoms.pbc.all(), "what was given is not changed"


def test_real_cells_stay():
    for cell in ([2.9] * 3, [400.0] * 3, [30.0, 30.0, 900.0]):
        atoms = Atoms("H2O", molecule("H2O").positions, cell=cell, pbc=True)
        structure = understood_atoms(atoms)
        np.testing.assert_array_equal(structure.atoms.cell, atoms.cell)
        assert structure.atoms.pbc.all()
        assert structure.notes == ()


def test_a_slab_in_a_cell_without_end():
    atoms = Atoms("He", cell=[3, 3, 1e6], pbc=True)
    structure = understood_atoms(atoms)
    assert structure.atoms.pbc.tolist() == [True, True, False]
    assert "cell vector c" in structure.notes[0]
