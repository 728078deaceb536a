"""Geometries of SMILES take a while for large molecules; whoever waits can stop it."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit")

from deepdft.structures.smiles import atoms_from_smiles, interrupted_by


class Enough(Exception):
    pass


def test_building_stops_between_conformers():
    looks = []

    def check():
        looks.append(1)
        if len(looks) == 4:
            raise Enough

    with pytest.raises(Enough), interrupted_by(check):
        atoms_from_smiles("CCO")
    assert len(looks) == 4
    # Only there.
    assert len(atoms_from_smiles("CO")) == 6
    assert len(looks) == 4


def test_the_geometry_is_the_lowest_of_those_that_are_made_at_once():
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    molecule = Chem.AddHs(Chem.MolFromSmiles("OCCO"))
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 1
    rdDistGeom.EmbedMultipleConfs(molecule, 10, parameters)
    energies = [
        e for _, e in rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, maxIters=2000)
    ]
    best = molecule.GetConformer(energies.index(min(energies))).GetPositions()
    assert atoms_from_smiles("OCCO").positions == pytest.approx(best, abs=1e-6)
