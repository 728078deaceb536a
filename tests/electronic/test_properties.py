"""Properties of structures, the calculator, structures of other libraries."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.electronic import properties as module
from deepdft.electronic.calculator import DeepDFT
from deepdft.electronic.properties import Energies
from deepdft.electronic.volumes import write_volume
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import SuperposedAtoms
from deepdft.geometry.grids import choose_grid
from deepdft.structures.foreign import as_atoms
from deepdft.units import HARTREE


@pytest.fixture(scope="module")
def model():
    return deepdft.load_model("default", "cpu")


@pytest.fixture
def springs(monkeypatch):
    """Energies of springs between the first atom and the others, in place of PySCF's."""

    def energies(engine):
        lengths = np.linalg.norm(engine.atoms.positions[1:] - engine.atoms.positions[0], axis=1)
        value = float(2.0 * ((lengths - 1.0) ** 2).sum())
        return Energies(value, value - 0.001, value + 0.002, -5.0, 1.0)

    monkeypatch.setattr(module, "energies_of", energies)
    monkeypatch.setattr("deepdft.electronic.calculator.energies_of", energies)


def test_properties_of_water(model, springs):
    found = model.properties(molecule("H2O"), spacing=0.25, energy=True)
    assert found.model == "default"
    assert found.energies.bracket == pytest.approx(0.003)
    assert found.energies.gap == 6.0
    assert found.charges[0] < -0.2
    assert 0 < found.expected_eps_mae < 0.1
    assert found.as_dict()["level"]["functional"] == "PBE"
    without = deepdft.properties(molecule("H2O"), model, spacing=0.25, energy=False)
    assert without.energies is None
    assert without.no_energy == "not asked for"
    np.testing.assert_array_equal(without.charges, found.charges)


def test_the_calculator_gives_what_ase_asks_for(model, springs):
    atoms = molecule("H2O")
    atoms.calc = DeepDFT(model, spacing=0.25)
    assert np.linalg.norm(atoms.get_dipole_moment()) == pytest.approx(0.4, abs=0.05)
    assert atoms.get_charges().sum() == pytest.approx(0, abs=1e-9)
    lengths = np.linalg.norm(atoms.positions[1:] - atoms.positions[0], axis=1)
    assert atoms.get_potential_energy() == pytest.approx(2 * ((lengths - 1) ** 2).sum())
    forces = atoms.get_forces()
    directions = (atoms.positions[1:] - atoms.positions[0]) / lengths[:, None]
    expected = -4 * (lengths - 1)[:, None] * directions
    np.testing.assert_allclose(forces[1:], expected, atol=1e-3)
    np.testing.assert_allclose(forces[0], -expected.sum(axis=0), atol=1e-3)
    assert atoms.calc.results["forces_error"] < 1e-6
    assert atoms.calc.results["energy_bracket"] == pytest.approx(0.003)
    density = atoms.calc.get_pseudo_density()
    grid = atoms.calc.get_density_grid()
    assert density.shape == grid.shape
    assert density.sum() * grid.voxel_volume == pytest.approx(8, abs=0.1)
    np.testing.assert_array_equal(atoms.calc.get_pseudo_density(spin=0), density / 2)


def test_structures_of_other_libraries(model):
    atoms = molecule("CH3OH")
    pymatgen = pytest.importorskip("pymatgen.core")
    other = pymatgen.Molecule(atoms.get_chemical_symbols(), atoms.positions)
    expected = model.density_at(atoms, [[0.1, 0.2, 0.3]])
    found = deepdft.predict(other, model, spacing=0.5)
    ours = deepdft.predict(atoms, model, spacing=0.5)
    np.testing.assert_array_equal(found.values, ours.values)
    assert model.density_at(as_atoms(other), [[0.1, 0.2, 0.3]]) == expected
    ion = pymatgen.Molecule(["O", "H"], [[0, 0, 0], [0, 0, 0.97]], charge=-1)
    assert as_atoms(ion).info["charge"] == -1
    salt = pymatgen.Structure(pymatgen.Lattice.cubic(4.2), ["Li+", "H-"], [[0, 0, 0], [0.5] * 3])
    assert as_atoms(salt).pbc.all()
    assert as_atoms(salt).get_chemical_formula() == "HLi"
    mixed = pymatgen.Structure(pymatgen.Lattice.cubic(4), [{"Li": 0.5, "Na": 0.5}], [[0, 0, 0]])
    with pytest.raises(UnsupportedStructureError, match="occupied in part"):
        as_atoms(mixed)
    with pytest.raises(UnsupportedStructureError, match="is not a structure"):
        deepdft.predict({"C": 1}, model)


def test_molecules_of_rdkit_and_pyscf():
    chemistry = pytest.importorskip("rdkit.Chem")
    from rdkit.Chem import AllChem

    bare = chemistry.MolFromSmiles("[NH4+]")
    with pytest.raises(UnsupportedStructureError, match="no places"):
        as_atoms(bare)
    whole = chemistry.AddHs(bare)
    AllChem.EmbedMolecule(whole, randomSeed=1)
    ammonium = as_atoms(whole)
    assert ammonium.get_chemical_formula() == "H4N"
    assert ammonium.info["charge"] == 1
    gto = pytest.importorskip("pyscf.gto")
    mol = gto.M(atom="O 0 0 0; H 0 0 1.8", unit="bohr", charge=-1, verbose=0)
    hydroxide = as_atoms(mol)
    assert hydroxide.get_distance(0, 1) == pytest.approx(1.8 * 0.529177, rel=1e-5)
    assert hydroxide.info["charge"] == -1


class _Superposed:
    """A model without a network."""

    def __init__(self, model):
        self.name, self.level, self.baseline = "atoms", model.level, model.baseline
        self.core_charges = model.core_charges

    def engine(self, atoms):
        return SuperposedAtoms(self.baseline, atoms)


def test_volumes_are_cubes_in_atomic_units(model, tmp_path):
    atoms = molecule("H2O")
    fast = _Superposed(model)
    grid = choose_grid(atoms, spacing=0.4, vacuum=3.0)
    for name in ("potential", "iri", "dori", "eigenvalue-2"):
        write_volume(name, tmp_path / f"{name}.cube", atoms, fast, grid)
    density = deepdft.read(tmp_path / "dori.cube", quantity="density", unit="e/bohr^3")
    assert density.values.min() >= 0
    assert density.values.max() * 0.1481847 <= 1.0 + 1e-5
    potential = deepdft.read(tmp_path / "potential.cube", quantity="density", unit="e/bohr^3")
    # Of neutral atoms nothing is left far away; at the nuclei it is high.
    hartree = potential.values * 0.14818471
    assert abs(hartree[0, 0, 0]) < 0.01
    assert hartree.max() > 10 / HARTREE
    with pytest.raises(ConfigurationError, match=r"to \.cube files"):
        write_volume("iri", tmp_path / "iri.xsf", atoms, fast, grid)
