"""`deepdft.predict` takes structures of ASE, pymatgen and RDKit as they are."""

from __future__ import annotations

import pytest
from ase.build import bulk, molecule

import deepdft


def of_pymatgen(atoms):
    core = pytest.importorskip("pymatgen.core")
    if atoms.pbc.any():
        return core.Structure(atoms.cell.array, atoms.get_chemical_symbols(),
                              atoms.get_scaled_positions())  # fmt: skip
    return core.Molecule(atoms.get_chemical_symbols(), atoms.positions)


def of_rdkit(atoms):
    chemistry = pytest.importorskip("rdkit.Chem")
    made = chemistry.AddHs(chemistry.MolFromSmiles("O"))
    conformer = chemistry.Conformer(len(atoms))
    for index, place in enumerate(atoms.positions):
        conformer.SetAtomPosition(index, place.tolist())
    made.AddConformer(conformer)
    return made


@pytest.mark.parametrize("made", [of_pymatgen, of_rdkit])
def test_a_molecule(made):
    atoms = molecule("H2O")
    grid = deepdft.Grid.around(atoms, spacing=0.8, vacuum=2.0)
    expected = deepdft.predict(atoms, "default", grid=grid)
    found = deepdft.predict(made(atoms), "default", grid=grid)
    assert found.atoms.get_chemical_symbols() == ["O", "H", "H"]
    assert found.values == pytest.approx(expected.values, abs=1e-6)


def test_a_crystal():
    atoms = bulk("NaCl", "rocksalt", a=5.64)
    expected = deepdft.predict(atoms, "crystals", spacing=0.6)
    found = deepdft.predict(of_pymatgen(atoms), "crystals", spacing=0.6)
    assert found.atoms.pbc.all()
    assert found.values == pytest.approx(expected.values, abs=1e-6)
