"""VASP's HDF5 files: the same density as in a CHGCAR."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from deepdft.density import Density
from deepdft.errors import FileFormatError
from deepdft.formats import read, read_with_notes, write
from tests.formats.samples import skewed_density


def write_structure(file: h5py.File, density: Density, scale: float = 1.0) -> None:
    group = file.create_group("results/positions")
    cell = np.asarray(density.atoms.cell)
    factor = scale if scale > 0 else np.cbrt(-scale / abs(np.linalg.det(cell)))
    group["scale"] = scale
    group["lattice_vectors"] = cell / factor if scale > 0 else cell * 1.7
    group["position_ions"] = density.atoms.get_scaled_positions(wrap=False)
    group["direct_coordinates"] = 1
    group["ion_types"] = np.array([b"H ", b"O ", b"H_h", b"C "])
    group["number_ion_types"] = [1, 1, 1, 2]


def write_density(file: h5py.File, density: Density) -> None:
    blocks = [density.values]
    if density.spin is not None:
        blocks += list(density.spin.reshape(-1, *density.grid.shape))
    data = np.stack(blocks) * density.grid.volume
    file["charge/charge"] = data.transpose(0, 3, 2, 1)


@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("scale", [1.0, 3.5, -141.372])
def test_one_file(components: int, scale: float, tmp_path: Path) -> None:
    density = skewed_density(components)
    if scale < 0:
        scale = -density.grid.volume
    with h5py.File(tmp_path / "vaspwave.h5", "w") as file:
        write_structure(file, density, scale)
        write_density(file, density)
        file["results/electron_eigenvalues/nelectrons"] = 16.0
    ours, notes = read_with_notes(tmp_path / "vaspwave.h5")
    assert np.allclose(ours.values, density.values, rtol=1e-12)
    assert ours.grid.is_close(density.grid, 1e-9)
    assert np.allclose(ours.atoms.positions, density.atoms.positions)
    assert str(ours.atoms.symbols) == "HOHC2"
    assert ours.level.core == "PAW"
    assert any("names 16 electrons" in note for note in notes)
    if components:
        assert np.allclose(ours.spin, density.spin)


def test_structure_from_beside(tmp_path: Path) -> None:
    density = skewed_density()
    with h5py.File(tmp_path / "vaspwave.h5", "w") as file:
        write_density(file, density)
    with pytest.raises(FileFormatError, match=r"no structure.*vaspout\.h5"):
        read(tmp_path / "vaspwave.h5")
    with h5py.File(tmp_path / "vaspout.h5", "w") as file:
        write_structure(file, density)
    ours, notes = read_with_notes(tmp_path / "vaspwave.h5")
    assert np.allclose(ours.values, density.values)
    assert any("vaspout.h5" in note for note in notes)
    with pytest.raises(FileFormatError, match="VASP without a density"):
        read(tmp_path / "vaspout.h5")


def test_hostile_and_damaged_files(tmp_path: Path) -> None:
    density = skewed_density()
    path = tmp_path / "vaspwave.h5"
    with h5py.File(path, "w") as file:
        write_structure(file, density)
        file.create_dataset("charge/charge", shape=(1, *[10**4] * 3), dtype="f8", chunks=True)
    with pytest.raises(FileFormatError, match="claims more values"):
        read(path)
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(FileFormatError, match="not an HDF5 file, or damaged"):
        read(path)
    with h5py.File(path, "w") as file:
        file["charge/charge"] = np.zeros((3, 2, 2, 2))
    with pytest.raises(FileFormatError, match="unexpected shape"):
        read(path)


@pytest.mark.parametrize("components", [0, 1, 3])
def test_pymatgen_reads_the_same(components: int, tmp_path: Path) -> None:
    outputs = pytest.importorskip("pymatgen.io.vasp.outputs")
    density = skewed_density(components)
    path = tmp_path / "vaspwave.h5"
    rng = np.random.default_rng(components)
    with h5py.File(path, "w") as file:
        write_structure(file, density, 2.0)
        file.move("results/positions", "structure/positions")
        del file["structure/positions/ion_types"]
        file["structure/positions/ion_types"] = np.array([b"H", b"O", b"H", b"C"])
        write_density(file, density)
        file["charge/grid"] = density.grid.shape
        file["version/major"] = 6
        counts = np.array([3, 0, 7, 6, 1])
        for component in range(components + 1):
            file[f"charge/aug_occupancies_ions_s{component + 1:02d}"] = counts
            values = rng.normal(size=(5, 8)) * 10.0 ** rng.integers(-12, 3, (5, 8))
            values[2, 1] = 0.0
            file[f"charge/aug_occupancies_s{component + 1:02d}"] = values
    theirs = outputs.Vaspwave(path).get_chgcar()
    ours = read(path)
    volume = ours.grid.volume
    np.testing.assert_allclose(ours.values * volume, theirs.data["total"], rtol=1e-12)
    names = ["total", "diff"] if components == 1 else ["total", "diff_x", "diff_y", "diff_z"]
    if components:
        spin = ours.spin.reshape(-1, *ours.grid.shape)
        for block, name in zip(spin, names[1:], strict=True):
            np.testing.assert_allclose(block * volume, theirs.data[name], rtol=1e-12)
    np.testing.assert_allclose(ours.grid.cell, theirs.structure.lattice.matrix, rtol=1e-12)
    write(tmp_path / "CHGCAR", ours)
    again = outputs.Chgcar.from_file(tmp_path / "CHGCAR")
    for name in names[: components + 1]:
        expected = {atom: row for atom, row in theirs.data_aug[name].items() if len(row)}
        known = {atom: row for atom, row in again.data_aug[name].items() if len(row)}
        assert known.keys() == expected.keys()
        for atom, row in expected.items():
            np.testing.assert_allclose(known[atom], row, rtol=1e-6)
