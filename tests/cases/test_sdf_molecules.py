"""Every molecule of an SDF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rdkit import Chem

from deepdft.structures import read_structures

SDF = Path(__file__).parent / "two.sdf"


def test_both_molecules_are_predicted(run, small_model):
    result = run("predict", SDF, "-m", small_model, "-o", "out/", "--spacing", 0.5)
    assert result.code == 0, result.error
    assert sorted(p.name for p in Path("out").iterdir()) == ["two_0.cube", "two_1.cube"]
    assert "CH4" in result.output
    assert "C2H6O" in result.output


def test_v3000_is_read_as_rdkit_reads_it(tmp_path):
    molecules = list(Chem.SDMolSupplier(str(SDF), removeHs=False))
    writer = Chem.SDWriter(str(tmp_path / "v3.sdf"))
    writer.SetForceV3000(True)
    for molecule in molecules:
        writer.write(molecule)
    writer.close()
    assert "V3000" in (tmp_path / "v3.sdf").read_text()
    for path in (SDF, tmp_path / "v3.sdf"):
        found = list(read_structures(path))
        assert len(found) == len(molecules) == 2
        for structure, molecule in zip(found, molecules, strict=True):
            numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
            assert structure.atoms.numbers.tolist() == numbers
            positions = molecule.GetConformer().GetPositions()
            np.testing.assert_allclose(structure.atoms.positions, positions, atol=1e-4)
