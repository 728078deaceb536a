"""NumPy archives and zarr groups: exact, streamed, and readable without this package."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ase import Atoms

from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats import open_writer, read, write
from deepdft.formats.slab_writer import SlabWriter
from deepdft.storage.chunked_density import ChunkedDensity
from tests.formats.samples import LEVEL, boxed_molecule, skewed_density


@pytest.mark.parametrize("name", ["x.npz", "x.npz.gz", "x.zarr"])
@pytest.mark.parametrize("components", [0, 1, 3])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_round_trip_is_exact(name: str, components: int, dtype: type, tmp_path: Path) -> None:
    density = skewed_density(components, shape=(40, 7, 6))
    density = replace(density, values=density.values.astype(dtype))
    density.metadata["augmentation"] = ["one\n", "two\n"]
    density.metadata["unstorable"] = object()
    write(tmp_path / name, density)
    again = read(tmp_path / name)
    assert again.values.dtype == dtype
    assert (again.values == density.values).all()
    assert (again.grid.cell == density.grid.cell).all()
    assert (again.grid.origin == density.grid.origin).all()
    assert (again.atoms.positions == density.atoms.positions).all()
    assert (again.atoms.numbers == density.atoms.numbers).all()
    assert (np.asarray(again.atoms.cell) == np.asarray(density.atoms.cell)).all()
    assert (again.atoms.pbc == density.atoms.pbc).all()
    assert again.level == LEVEL
    assert again.metadata["augmentation"] == ["one\n", "two\n"]
    if density.spin is None:
        assert again.spin is None
    else:
        assert (again.spin == density.spin).all()


def test_numpy_reads_an_archive(tmp_path: Path) -> None:
    density = boxed_molecule()
    write(tmp_path / "x.npz", density)
    with np.load(tmp_path / "x.npz") as archive:
        assert (archive["values"] == density.values).all()
        assert (archive["cell"] == density.grid.cell).all()
        assert (archive["origin"] == density.grid.origin).all()
        assert tuple(archive["shape"]) == density.grid.shape
        assert (archive["pbc"] == [False] * 3).all()
        assert json.loads(str(archive["about"]))["unit"] == "e/angstrom^3"


def test_zarr_reads_a_group(tmp_path: Path) -> None:
    density = boxed_molecule()
    write(tmp_path / "x.zarr", density)
    group = zarr.open_group(tmp_path / "x.zarr", mode="r")
    assert (group["density"][...] == density.values).all()
    assert (group["numbers"][...] == density.atoms.numbers).all()
    assert (group["positions"][...] == density.atoms.positions).all()
    assert group.attrs["level"]["functional"] == "PBE"


def test_the_same_archive_twice_is_the_same_file(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", boxed_molecule())
    write(tmp_path / "b.npz", boxed_molecule())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_group_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write(tmp_path / "x.zarr", skewed_density(1))
    write(tmp_path / "x.zarr", boxed_molecule())
    assert read(tmp_path / "x.zarr").spin is None
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]
    before = read(tmp_path / "x.zarr")
    density = skewed_density()
    writer = open_writer(tmp_path / "x.zarr", density.atoms, density.grid)
    with pytest.raises(ZeroDivisionError):
        write_two_layers_and_fail(writer, density)
    assert (read(tmp_path / "x.zarr").values == before.values).all()
    assert [path.name for path in tmp_path.iterdir()] == ["x.zarr"]


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "precious").write_text("data")


def _group_of_somebody_else(path: Path) -> None:
    zarr.create_group(path).create_array("weights", shape=(2,), dtype=float)[...] = 1.0


def _density_with_a_note(path: Path) -> None:
    write(path, boxed_molecule())
    (path / "notes.txt").write_text("precious")


def _training_store(path: Path) -> None:
    with TrainingStoreWriter(path) as writer:
        writer.append("a", boxed_molecule())


def _density_being_filled(path: Path) -> None:
    density = boxed_molecule()
    store = ChunkedDensity.create(path, density.atoms, density.grid, (8, 8, 8))
    # Locked until the collector finds it, as by another process.
    _held.append(store.sole_writer())
    _held[-1].__enter__()


_held: list[Any] = []


@pytest.mark.parametrize(
    "make",
    [_folder, _group_of_somebody_else, _density_with_a_note, _training_store,
     _density_being_filled],
)  # fmt: skip
def test_what_is_no_density_of_ours_is_never_replaced(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "x.zarr"
    make(path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    with pytest.raises(ConfigurationError, match=r"not a density|is being filled"):
        write(path, boxed_molecule())
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
    assert [found.name for found in tmp_path.iterdir()] == ["x.zarr"]
    while _held:
        _held.pop().__exit__(None, None, None)
        write(path, boxed_molecule())
        assert read(path).grid.shape == boxed_molecule().grid.shape


def test_an_empty_folder_may_be_written_into(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    write(tmp_path / "x.zarr", boxed_molecule())
    assert (read(tmp_path / "x.zarr").values == boxed_molecule().values).all()


def test_what_appears_while_a_density_is_written_is_not_replaced(tmp_path: Path) -> None:
    density = boxed_molecule()
    path = tmp_path / "x.zarr"
    writer = open_writer(path, density.atoms, density.grid)
    writer.__enter__().write_slab(density.values)
    _folder(path)
    with pytest.raises(ConfigurationError, match="not a density"):
        writer.__exit__(None, None, None)
    assert (path / "precious").read_text() == "data"


@pytest.mark.parametrize("name", ["x.npz", "x.zarr"])
def test_moments_and_structures_without_atoms(name: str, tmp_path: Path) -> None:
    density = boxed_molecule()
    density.atoms.set_initial_magnetic_moments(np.arange(float(len(density.atoms))))
    write(tmp_path / name, density)
    moments = read(tmp_path / name).atoms.get_initial_magnetic_moments()
    assert moments.tolist() == density.atoms.get_initial_magnetic_moments().tolist()
    write(tmp_path / name, replace(density, atoms=Atoms(cell=density.atoms.cell)))
    assert len(read(tmp_path / name).atoms) == 0


def _write_for_ever(path: Path) -> None:
    number = 0
    while True:
        number += 1
        density = boxed_molecule()
        write(path, replace(density, values=np.full(density.grid.shape, float(number))))


def test_killed_while_one_density_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "x.zarr"
    density = boxed_molecule()
    write(path, density)
    generator = np.random.default_rng(0)
    for _ in range(3):
        inode = path.stat().st_ino
        process = multiprocessing.get_context("spawn").Process(target=_write_for_ever, args=(path,))
        process.start()
        until = time.monotonic() + 60
        # Exchanged in one step: there is always something at the path.
        while path.stat().st_ino == inode and time.monotonic() < until:
            time.sleep(0.005)
        time.sleep(0.05 * generator.random())
        process.kill()
        process.join()
        values = read(path).values
        assert (values == values[0, 0, 0]).all()
    write(path, density)
    assert (read(path).values == density.values).all()
    assert [found.name for found in tmp_path.iterdir()] == ["x.zarr"]


def test_a_group_of_earlier_versions(tmp_path: Path) -> None:
    """It has the structure as attributes."""
    density = boxed_molecule()
    path = tmp_path / "x.zarr"
    write(path, density)
    group = zarr.open_group(path)
    about = {
        "numbers": density.atoms.numbers.tolist(),
        "positions": density.atoms.positions.tolist(),
    }
    for name in ("numbers", "positions"):
        shutil.rmtree(path / name)
    description = json.loads((path / "zarr.json").read_text())
    description.pop("consolidated_metadata", None)
    description["attributes"] |= about
    (path / "zarr.json").write_text(json.dumps(description))
    again = read(path)
    assert (again.values == group["density"][...]).all()
    assert (again.atoms.positions == density.atoms.positions).all()
    assert (again.atoms.numbers == density.atoms.numbers).all()


def write_two_layers_and_fail(writer: SlabWriter, density: Density) -> None:
    with writer:
        writer.write_slab(density.values[:2])
        raise ZeroDivisionError


def rewritten(path: Path, **members: np.ndarray) -> None:
    with np.load(path) as archive:
        known = dict(archive)
    np.savez(path, **{**known, **members})


@pytest.mark.parametrize(
    "members",
    [
        {"cell": np.zeros((3, 3))},
        {"cell": np.zeros((2, 2))},
        {"shape": np.array([1, 2])},
        {"shape": np.array([1, 2, 3])},
        {"origin": np.array([np.nan, 0, 0])},
        {"about": np.array("no JSON")},
        {"about": np.array('{"format": "another"}')},
        {"about": np.array("[]")},
        {"positions": np.zeros((1, 3))},
        {"values": np.array([object()], dtype=object)},
    ],
)
def test_archives_that_make_no_sense(members: dict[str, np.ndarray], tmp_path: Path) -> None:
    write(tmp_path / "x.npz", boxed_molecule())
    rewritten(tmp_path / "x.npz", **members)
    with pytest.raises(FileFormatError, match=r"x\.npz is not a density|cannot be read"):
        read(tmp_path / "x.npz")


def test_an_archive_that_claims_too_much(tmp_path: Path) -> None:
    write(tmp_path / "x.npz", boxed_molecule())
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    shape = str(boxed_molecule().grid.shape).encode()
    huge = b"(9999999, 99, 99)".ljust(len(shape))
    members["values.npy"] = members["values.npy"].replace(shape + b", }    ", huge + b"}")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(FileFormatError):
        read(tmp_path / "x.npz")


def test_values_that_are_not_finite_are_not_stored(tmp_path: Path) -> None:
    density = boxed_molecule()
    values = density.values.copy()
    values[0, 0, 0] = np.nan
    for name in ("x.npz", "x.zarr", "x.cube"):
        with pytest.raises(ConfigurationError, match=r"not finite|cannot be written"):
            write(tmp_path / name, Density(density.atoms, density.grid, values))
    assert list(tmp_path.iterdir()) == []
