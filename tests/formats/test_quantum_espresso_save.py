"""Densities in save folders: a real one against cube files of pp.x, others as documented."""

from __future__ import annotations

import shutil
import struct
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import FortranFile

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import open_writer, read, read_with_notes, write
from tests.formats.samples import FILES

SAVE = FILES / "H3_qe.save"
DAT = "charge-density.dat"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a copy of the save folder."""
    return Path(shutil.copytree(SAVE, tmp_path / "x.save"))


def records(path: Path) -> list[bytes]:
    with FortranFile(path) as file:
        counts = file.read_record("u1")
        _, _, components = struct.unpack("<3i", counts.tobytes())
        return [
            counts.tobytes(),
            *(file.read_record("u1").tobytes() for _ in range(2 + components)),
        ]


def write_records(path: Path, parts: list[bytes]) -> None:
    with FortranFile(path, "w") as file:
        for part in parts:
            file.write_record(np.frombuffer(part, "u1"))


def test_a_spin_density_at_the_gamma_point() -> None:
    density, notes = read_with_notes(SAVE / DAT)
    total = read(FILES / "H3_qe_save.cube.gz")
    spin = read(FILES / "H3_qe_save_spin.cube.gz", quantity="spin-density")
    assert density.grid.is_close(total.grid, 1e-5)
    np.testing.assert_allclose(density.values, total.values, rtol=1e-4)  # five digits
    np.testing.assert_allclose(density.spin, spin.values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(density.atoms.positions, total.atoms.positions, atol=1e-5)
    assert density.n_electrons == pytest.approx(3.0, abs=1e-9)
    assert density.total_spin == pytest.approx(1.0, abs=1e-9)
    assert (density.level.functional, density.level.basis) == ("PBE", "8 Ry")
    assert density.level.code == "Quantum ESPRESSO 6.7"
    assert any("names 3 electrons" in note for note in notes)


def whole_sphere(components: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return indices of plane waves, coefficients of random real functions, and their values."""
    rng = np.random.default_rng(4)
    indices = np.array(list(np.ndindex(5, 5, 5))) - 2
    indices = indices[np.lexsort(((indices**2).sum(axis=1),))]
    shape = read(SAVE / DAT).grid.shape
    points = np.stack(np.meshgrid(*(np.arange(n) / n for n in shape), indexing="ij"), axis=-1)
    waves = np.exp(2j * np.pi * points @ indices.T)
    rows, values = [], []
    for component in range(components):
        row = rng.normal(size=len(indices)) + 1j * rng.normal(size=len(indices))
        opposite = [int(np.flatnonzero((indices == -m).all(axis=1))[0]) for m in indices]
        row = 1e-4 * (row + row[opposite].conj())
        row[0] = 0.02 if component == 0 else 0.001
        rows.append(row)
        values.append((waves @ row).real)
    return indices, np.array(rows), np.array(values)


@pytest.mark.parametrize("components", [1, 2, 4])
def test_hdf5(components: int, folder: Path) -> None:
    """As write_rhog of io_base.f90 writes it: the other real and imaginary parts in turn."""
    indices, rows, values = whole_sphere(components)
    names = ["rhotot_g", "rhodiff_g"] if components == 2 else ["rhotot_g", "m_x", "m_y", "m_z"]
    (folder / DAT).unlink()
    with h5py.File(folder / "charge-density.hdf5", "w") as file:
        file.attrs["gamma_only"] = ".FALSE."
        file.attrs["ngm_g"], file.attrs["nspin"] = len(indices), components
        file["MillerIndices"] = indices.astype("i4")
        for row, name in zip(rows, names, strict=False):
            file[name] = row.view(np.float64)
    density = read(folder / "charge-density.hdf5")
    factor = density.values.mean() / values[0].mean()
    np.testing.assert_allclose(density.values, values[0] * factor, rtol=1e-10)
    if components > 1:
        assert density.spin is not None
        spin = density.spin.reshape(-1, *density.grid.shape)
        np.testing.assert_allclose(spin, values[1:] * factor, rtol=1e-9, atol=1e-12)
    shutil.copy(folder / "charge-density.hdf5", folder / "renamed.h5")
    np.testing.assert_array_equal(read(folder / "renamed.h5").values, density.values)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_whole_sphere(order: str, folder: Path) -> None:
    indices, rows, values = whole_sphere(1)
    cell = np.frombuffer(records(folder / DAT)[1])
    parts = [np.array([0, len(indices), 1], f"{order}i4").tobytes(), cell.astype(f"{order}f8")]
    parts += [indices.astype(f"{order}i4").tobytes(), rows[0].astype(f"{order}c16").tobytes()]
    with open(folder / DAT, "wb") as file:
        for part in parts:
            data = bytes(memoryview(part).cast("B"))
            mark = struct.pack(f"{order}i", len(data))
            file.write(mark + data + mark)
    density = read(folder / DAT)
    factor = density.values.mean() / values[0].mean()
    np.testing.assert_allclose(density.values, values[0] * factor, rtol=1e-10)


def test_written_back_it_is_the_same_file(folder: Path) -> None:
    """pw.x begins from it and converges in one iteration (not run here)."""
    before = (folder / DAT).read_bytes()
    write(folder / DAT, read(folder / DAT))
    after = (folder / DAT).read_bytes()
    assert len(after) == len(before)
    old, new = records(SAVE / DAT), records(folder / DAT)
    assert (old[0], old[2]) == (new[0], new[2])
    np.testing.assert_allclose(np.frombuffer(new[1]), np.frombuffer(old[1]), rtol=1e-8, atol=1e-12)
    for ours, theirs in zip(new[3:], old[3:], strict=True):
        np.testing.assert_allclose(
            np.frombuffer(ours, "c16"), np.frombuffer(theirs, "c16"), atol=1e-13
        )


def without_spin(folder: Path) -> Density:
    """Make the calculation one without spin; return its density."""
    counts, *others = records(folder / DAT)
    half, count, _ = struct.unpack("<3i", counts)
    write_records(folder / DAT, [struct.pack("<3i", half, count, 1), *others[:3]])
    return read(folder / DAT)


def test_from_another_grid(folder: Path) -> None:
    """Finer, and shifted by a part of a voxel: the plane waves are the same."""
    density = without_spin(folder)
    old = np.frombuffer(records(folder / DAT)[3], "c16")
    shape = (16, 18, 20)
    half = np.fft.fftn(density.values) / density.grid.n_points
    waves = [np.fft.fftfreq(n, 1 / n) for n in density.grid.shape]
    places = [(np.arange(n) + 0.3) / n for n in shape]
    phases = [np.exp(2j * np.pi * np.outer(x, m)) for x, m in zip(places, waves, strict=True)]
    values = np.einsum("abc,ia,jb,kc->ijk", half, *phases).real
    origin = (0.3 / np.array(shape)) @ density.grid.cell
    grid = Grid(density.grid.cell, shape, origin)
    with open_writer(folder / DAT, density.atoms, grid) as writer:
        for start in range(0, shape[0], 5):
            writer.write_slab(values[start : start + 5])
    np.testing.assert_allclose(np.frombuffer(records(folder / DAT)[3], "c16"), old, atol=1e-12)


def test_what_is_not_written(folder: Path, tmp_path: Path) -> None:
    density = read(folder / DAT)
    before = (folder / DAT).read_bytes()
    cases: list[tuple[Density, str]] = [
        (replace(density, spin=None), "the calculation has a spin density, but .* no spin"),
        (replace(density, values=density.values * 1.1), "3.3000 electrons, the calculation has 3"),
    ]
    moved = density.atoms.copy()
    moved.positions[1] += [0.0, 0.1, 0.0]
    cases.append((replace(density, atoms=moved), r"0\.1 Å apart"))
    other = density.atoms.copy()
    other.numbers[0] = 2
    cases.append((replace(density, atoms=other), "density is of H2He, the calculation of H3"))
    cell = Grid(density.grid.cell * 1.01, density.grid.shape)
    cases.append((replace(density, grid=cell), "density is of the cell"))
    for case, message in cases:
        with pytest.raises(ConfigurationError, match=message):
            write(folder / DAT, case)
    assert (folder / DAT).read_bytes() == before
    with pytest.raises(ConfigurationError, match="electron_maxstep = 1"):
        write(tmp_path / DAT, density)
    with pytest.raises(ConfigurationError, match=r"written as \.dat"):
        write(folder / "charge-density.hdf5", density)
    write(tmp_path / DAT, density, template=str(folder / DAT))
    assert len((tmp_path / DAT).read_bytes()) == len(before)


def test_without_its_folder(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / DAT, tmp_path / DAT)
    with pytest.raises(
        FileFormatError, match=r"density of Quantum ESPRESSO.*data-file-schema\.xml"
    ):
        read(tmp_path / DAT)
    density = read(folder / DAT)
    density.atoms.write(tmp_path / "POSCAR", format="vasp")
    alone = read(tmp_path / DAT, structure=str(tmp_path / "POSCAR"))
    assert str(alone.atoms.symbols) == "H3"
    assert alone.n_electrons == pytest.approx(3.0, abs=1e-6)


@pytest.mark.parametrize("cut", [0, 10, 24, 60, 400, -4])
def test_truncation(cut: int, folder: Path) -> None:
    (folder / DAT).write_bytes((folder / DAT).read_bytes()[:cut])
    with pytest.raises(FileFormatError, match=r"ends too early|empty|first record"):
        read(folder / DAT)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1.7e308])
def test_values_that_no_density_has(value: float, folder: Path) -> None:
    *head, last = records(folder / DAT)
    coefficients = np.frombuffer(last, np.complex128).copy()
    coefficients[:3] = value
    write_records(folder / DAT, [*head, coefficients.tobytes()])
    with pytest.raises(FileFormatError, match="too large, or not finite"):
        read(folder / DAT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<output>", "<outpu>"), "not XML, or damaged"),
        (('nr1="', 'nx="'), "makes no sense"),
        (('name="H" index="1"', 'name="?" index="1"'), "name no elements"),
        (("nelec>", "n>"), "no element <band_structure/nelec>"),
        (("<a1>", "<a1>x "), "could not convert"),
        (('encoding="UTF-8"', 'encoding="true"'), "unknown encoding"),
    ],
)
def test_damaged_descriptions(change: tuple[str, str], message: str, folder: Path) -> None:
    path = folder / "data-file-schema.xml"
    text = path.read_text()
    assert change[0] in text
    path.write_text(text.replace(*change))
    with pytest.raises(FileFormatError, match=message):
        read(folder / DAT)
