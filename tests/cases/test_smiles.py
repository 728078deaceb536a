"""SMILES of several molecules, of radicals, and of stereo-isomers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.data import vdw_radii
from rdkit import Chem

from deepdft.structures import atoms_from_smiles, file_name, read_structures


@pytest.mark.parametrize(
    "smiles", ["CCO.O", "C.O", "CC(=O)O.N", "O.O", "C.C.C", "CC(=O)[O-].[NH4+]", "C#N.c1ccccc1"]
)
def test_several_molecules_lie_side_by_side(smiles):
    (structure,) = read_structures(smiles)
    atoms = structure.atoms
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    sizes = [
        sum(Chem.AddHs(part).GetNumAtoms() for part in [fragment])
        for fragment in Chem.GetMolFrags(Chem.MolFromSmiles(smiles), asMols=True)
    ]
    assert sum(sizes) == molecule.GetNumAtoms() == len(atoms)
    number = np.repeat(np.arange(len(sizes)), sizes)
    radii = vdw_radii[atoms.numbers]
    apart = atoms.get_all_distances() - radii[:, None] - radii[None]
    between = apart[number[:, None] != number[None]]
    assert between.min() == pytest.approx(0.0, abs=1e-6)
    assert any("side by side" in note for note in structure.notes)


@pytest.mark.parametrize(
    "smiles", ["[CH2]", "[O][O]", "O=O", "S=S", "S=O", "[CH2]C[CH2]", "[CH3].[CH3]", "[CH3]", "[O]",
               "[C]", "C[C]C"]
)  # fmt: skip
def test_radicals_are_refused(smiles, run, small_model):
    # A model of sulphur as well would say the same; this one does not know it.
    result = run("predict", smiles, "-m", small_model, "-o", "r.cube", "--spacing", 0.5)
    assert result.code == 2
    if "S" not in smiles:
        assert "closed shells only" in result.error
    assert not Path("r.cube").exists()


def test_a_closed_shell_that_is_stated_is_believed(run, small_model):
    command = ("predict", "[CH2]", "-m", small_model, "-o", "r.cube", "--spacing", 0.5)
    result = run(*command, "--multiplicity", 1)
    assert result.code == 0, result.error


@pytest.mark.parametrize(
    "pair", [("F/C=C/F", r"F/C=C\F"), ("C[C@H](N)O", "C[C@@H](N)O"), ("C/C=C/C", r"C/C=C\C")]
)
def test_stereo_isomers_have_files_of_their_own(pair):
    assert len({file_name(smiles).casefold() for smiles in pair}) == 2
    one, two = (atoms_from_smiles(smiles) for smiles in pair)
    assert len(one) == len(two)


def test_the_geometry_is_said_to_be_a_force_field_s(run, small_model):
    result = run("predict", "CO", "-m", small_model, "-o", "m.cube", "--spacing", 0.5)
    assert "force field" in result.output
    pytest.importorskip("tblite")
    relaxed = run("predict", "CO", "-m", small_model, "-o", "n.cube", "--spacing", 0.5, "--relax")
    assert relaxed.code == 0, relaxed.error
    assert "relaxed by GFN2-xTB" in relaxed.output
