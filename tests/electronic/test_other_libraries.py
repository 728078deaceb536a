"""Densities and structures as objects of pymatgen and PySCF, and back."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.formats import from_pymatgen, to_pymatgen
from deepdft.levels import LevelOfTheory


def test_densities_go_to_pymatgen_and_back(tmp_path):
    outputs = pytest.importorskip("pymatgen.io.vasp")
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    grid = Grid(atoms.cell.array, (6, 8, 10))
    values, spin = np.random.default_rng(0).random((2, *grid.shape))
    level = LevelOfTheory("PBE")
    other = to_pymatgen(Density(atoms, grid, values, spin=spin, level=level))
    assert other.data["total"].mean() == pytest.approx(values.sum() * grid.voxel_volume)
    back = from_pymatgen(other, level)
    np.testing.assert_allclose(back.values, values, rtol=1e-12)
    np.testing.assert_allclose(back.spin, spin, rtol=1e-12)
    assert back.grid.is_close(grid)
    assert back.atoms.pbc.all()
    assert back.level == level
    # As pymatgen itself writes and reads it.
    other.write_file(tmp_path / "CHGCAR")
    again = from_pymatgen(outputs.Chgcar.from_file(str(tmp_path / "CHGCAR")))
    np.testing.assert_allclose(again.values, values, atol=1e-6)
    boxed = Grid.around(molecule("H2O"), 0.5, 2.0)
    box = from_pymatgen(to_pymatgen(Density(molecule("H2O"), boxed, np.ones(boxed.shape))))
    np.testing.assert_allclose(
        box.atoms.positions, molecule("H2O").positions - boxed.origin, atol=1e-9
    )
    with pytest.raises(ConfigurationError, match="holds no density"):
        from_pymatgen(other.structure)


def test_structures_go_to_pyscf():
    pytest.importorskip("pyscf")
    from deepdft.electronic import to_pyscf

    atoms = molecule("H2O")
    atoms.info["charge"] = 0
    mol = to_pyscf(atoms, LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp"))
    assert mol.nelectron == 8
    assert mol.nao == 23
    np.testing.assert_allclose(mol.atom_coords(unit="Angstrom"), atoms.positions, atol=1e-9)
    assert to_pyscf(to_pyscf(atoms)).nelectron == 8
