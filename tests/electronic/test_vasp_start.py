"""CHGCARs that VASP begins with, against pymatgen's reader."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

import deepdft
from deepdft.density import Density, Grid
from deepdft.electronic import vasp_start
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.formats.occupancies import occupancies_text
from deepdft.levels import LevelOfTheory

VASP = LevelOfTheory("PBE", "PAW", "400 eV", "VASP 6.4")


@pytest.fixture
def model():
    loaded = deepdft.load_model("crystals", device="cpu")
    loaded.level = VASP
    return loaded


def write_reference(path, atoms, electrons=8.0, augmentation=True):
    """A CHGCAR with spins whose numbers can be told apart."""
    grid = Grid(np.asarray(atoms.cell), (10, 12, 14))
    values = np.random.default_rng(0).uniform(0.5, 1.0, grid.shape)
    values *= electrons / (values.sum() * grid.voxel_volume)
    texts = [occupancies_text([[0.5 + atom, -0.25] for atom in range(2)]) for _ in range(2)]
    metadata = {"augmentation": texts} if augmentation else {}
    spin = 0.1 * np.random.default_rng(1).uniform(size=grid.shape)
    reference = Density(atoms, grid, values, spin, VASP, metadata)
    reference.write(path, format="vasp")
    return reference


def test_what_pymatgen_reads(model, tmp_path):
    Chgcar = pytest.importorskip("pymatgen.io.vasp").Chgcar
    atoms = bulk("Si", cubic=False)
    reference = write_reference(tmp_path / "CHGCAR.before", atoms)
    moved = atoms.copy()
    moved.set_cell(1.02 * atoms.cell[:], scale_atoms=True)
    moved.positions[1] += 0.1
    written = vasp_start(moved, model, tmp_path / "CHGCAR.before", tmp_path / "CHGCAR")
    found = Chgcar.from_file(str(tmp_path / "CHGCAR"))
    assert found.dim == (10, 12, 14)
    np.testing.assert_allclose(found.structure.cart_coords, moved.positions, atol=1e-6)
    total = found.data["total"] / moved.get_volume()
    np.testing.assert_allclose(total, written.values, rtol=1e-8, atol=1e-8)
    assert found.data["total"].mean() == pytest.approx(8.0, abs=1e-6)
    expected = deepdft.predict(moved, model, grid=written.grid)
    scale = 8.0 / expected.n_electrons
    np.testing.assert_allclose(written.values, scale * expected.values, rtol=1e-9)
    assert found.is_spin_polarized
    moment = found.data["diff"].mean()
    assert moment == pytest.approx(reference.spin.mean() * atoms.get_volume(), abs=1e-6)
    text = (tmp_path / "CHGCAR").read_text()
    assert text.count("augmentation occupancies") == 4
    assert "0.1500000E+01 -0.2500000E+00" in text


def test_what_cannot_be_a_start_is_refused(model, tmp_path):
    atoms, path = bulk("Si", cubic=False), tmp_path / "CHGCAR.before"
    write_reference(path, atoms, augmentation=False)
    with pytest.raises(ConfigurationError, match="no augmentation occupancies"):
        vasp_start(atoms, model, path, tmp_path / "CHGCAR")
    write_reference(path, atoms)
    with pytest.raises(ConfigurationError, match="the same order"):
        vasp_start(bulk("SiC", "zincblende", 4.36), model, path, tmp_path / "CHGCAR")
    model.level = LevelOfTheory("PBE", "PAW", "520 eV", "VASP 6.4")
    with pytest.raises(LevelOfTheoryError, match="the basis of the model"):
        vasp_start(atoms, model, path, tmp_path / "CHGCAR")
    model.level = LevelOfTheory("PBE", "NC", "80 Ry", "Quantum ESPRESSO")
    with pytest.raises(LevelOfTheoryError, match="trained on densities of VASP"):
        vasp_start(atoms, model, path, tmp_path / "CHGCAR")
    assert not (tmp_path / "CHGCAR").exists()
