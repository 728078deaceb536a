"""Structures from files and SMILES."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from deepdft.errors import FileFormatError
from deepdft.structures import atoms_from_smiles, read_structures


def test_frames_are_numbered_with_leading_zeros(tmp_path):
    import ase.io

    ase.io.write(tmp_path / "run.extxyz", [molecule("H2O")] * 11)
    names = [item.name for item in read_structures(str(tmp_path / "run.extxyz"))]
    assert names[0] == "run_00"
    assert names[-1] == "run_10"


def test_smiles_give_sensible_geometries_and_the_same_each_time():
    pytest.importorskip("rdkit")
    one, two = atoms_from_smiles("CCO"), atoms_from_smiles("CCO")
    np.testing.assert_array_equal(one.positions, two.positions)
    distances = one.get_all_distances()
    bond = sorted(distances[0][distances[0] > 0])[:4]
    assert bond == pytest.approx([1.09, 1.09, 1.09, 1.52], abs=0.05)


def test_a_charge_is_carried_along():
    pytest.importorskip("rdkit")
    assert atoms_from_smiles("[NH4+]").info["charge"] == 1


@pytest.mark.parametrize("source", ["missing.xyz", "./missing", "C(", ""])
def test_what_is_neither_a_file_nor_smiles_is_refused(source):
    pytest.importorskip("rdkit")
    with pytest.raises(FileFormatError):
        list(read_structures(source))


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(FileFormatError, match="is a folder"):
        list(read_structures(str(tmp_path)))
