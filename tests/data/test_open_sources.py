"""Data from wherever people have them: tar files, lists, patterns, folders, stores, several."""

from __future__ import annotations

import io
import json
import os
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.data import open_dataset, read_split, split_part
from deepdft.data.conversion import fill_store
from deepdft.data.grid_dataset import GridDataset, unique_names
from deepdft.data.joined import JoinedDataset
from deepdft.data.reading import read_density
from deepdft.data.sources import find_sources
from deepdft.data.training_store import TrainingStoreDataset
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError, LevelOfTheoryError
from deepdft.formats import write
from deepdft.levels import LevelOfTheory
from tests.small_data import PBE, gaussian_density, write_archive

PUBLISHED = ("000003.CHGCAR.zz", "000001.CHGCAR.lz4", "000010.cube", "000002.cube.zz")
"""Members of a tar file as published data sets have them, not sorted."""


def numbered(number: int, level: LevelOfTheory = PBE) -> Density:
    """A density told apart by its bond length, which is in 0.01 Å the number."""
    cell = np.diag([3.0, 3.2, 3.4 + 0.01 * number])
    atoms = Atoms("HF", [[1, 1, 1], [1, 1, 1.5 + 0.01 * number]], cell=cell, pbc=True)
    return gaussian_density(atoms, Grid(cell, (8, 9, 10)), level)


def number_of(data, index: int) -> int:
    return round(100 * (data.atoms(index).get_distance(0, 1) - 0.5))


def write_tar(path: Path, names=PUBLISHED, folder: str = "") -> Path:
    """Write a tar file of the densities that the names tell."""
    with tarfile.open(path, "w") as tar:
        if folder:
            entry = tarfile.TarInfo(folder)
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
        for name in names:
            scratch = path.with_name(f"scratch.{name}")
            write(scratch, numbered(int(name[:6])))
            content = scratch.read_bytes()
            scratch.unlink()
            entry = tarfile.TarInfo(os.path.join(folder, name))
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture(scope="module")
def tar(tmp_path_factory) -> Path:
    return write_tar(tmp_path_factory.mktemp("published") / "part.tar")


# Tar files


def test_a_published_tar_file_opens_as_it_is(tar):
    data = open_dataset(tar, {"functional": "PBE"})
    assert isinstance(data, GridDataset)
    assert data.names == list(PUBLISHED)
    assert [number_of(data, i) for i in range(4)] == [3, 1, 10, 2]
    assert sorted(os.listdir(tar.parent)) == ["part.tar", "part.tar.index.json"]
    exact = numbered(3)
    np.testing.assert_allclose(data.density(0).values, exact.values, rtol=1e-8, atol=1e-10)
    drawn = data.draw(0, 100, np.random.default_rng(0), cutoff=3.0, importance=0.5)
    assert len(drawn.values) == 100
    # The streams are what the released code wrote: bare zlib.
    start, stop = json.loads((tar.parent / "part.tar.index.json").read_text())["members"][
        PUBLISHED[0]
    ]
    text = zlib.decompress(tar.read_bytes()[start:stop]).decode()
    assert ["8", "9", "10"] in [line.split() for line in text.splitlines()]


def test_splits_of_a_tar_file(tar, tmp_path):
    data = open_dataset(tar)
    path = tmp_path / "datasplits.json"
    # As the released code writes them: positions in the archive.
    path.write_text(json.dumps({"train": [3, 0], "validation": [1], "test": [2]}))
    assert [number_of(split_part(path, "train", data), i) for i in (0, 1)] == [2, 3]
    assert split_part(path, "test", data).names == ["000010.cube"]
    # By file name, with or without what follows the first dot.
    path.write_text(json.dumps({"train": ["000003.CHGCAR.zz"], "test": ["000002", "000010"]}))
    assert read_split(path, data) == {"train": [0], "test": [3, 2]}
    path.write_text(json.dumps({"train": ["000003", "nothing"]}))
    with pytest.raises(ConfigurationError, match="names 'nothing', which the data lack"):
        read_split(path, data)


def test_integers_in_a_split_are_positions_though_files_have_numbers_for_names(tmp_path):
    for name in ("0.cube", "1.cube", "10.cube", "2.cube"):
        write(tmp_path / name, numbered(int(name[:-5])))
    data = open_dataset(tmp_path)
    path = tmp_path / "split.json"
    path.write_text(json.dumps({"train": [2, 0]}))
    assert [number_of(split_part(path, "train", data), i) for i in (0, 1)] == [10, 0]
    path.write_text(json.dumps({"train": ["2", "0"]}))
    assert [number_of(split_part(path, "train", data), i) for i in (0, 1)] == [2, 0]


def test_what_lies_beside_data_in_a_tar_file_is_left_out(tmp_path):
    path = write_tar(tmp_path / "a.tar", PUBLISHED[:2], folder="data")
    with tarfile.open(path, "a") as tar:
        for name in ("data/README.md", "data/._000003.CHGCAR.zz", "datasplits.json"):
            tar.addfile(tarfile.TarInfo(name))
    assert open_dataset(path).names == list(PUBLISHED[:2])
    with pytest.raises(FileFormatError, match="no member 'data/000009'"):
        open_dataset(f"{path}::data/000009")
    assert open_dataset(f"{path}::data/{PUBLISHED[1]}").names == [PUBLISHED[1]]


def test_unusable_tar_files(tmp_path):
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
    with pytest.raises(FileFormatError, match="compressed as a whole"):
        open_dataset(tmp_path / "a.tar.gz")
    (tmp_path / "b.tar").write_bytes(b"no tar file" * 100)
    with pytest.raises(FileFormatError, match="not a tar file"):
        open_dataset(tmp_path / "b.tar")
    tarfile.open(tmp_path / "c.tar", "w").close()
    with pytest.raises(ConfigurationError, match="No density files were found"):
        open_dataset(tmp_path / "c.tar")


# Folders, patterns, lists


@pytest.fixture
def folders(tmp_path) -> Path:
    """Two runs of a DFT code, a folder of tar files and a list that names them all."""
    for run in ("run_b", "run_a"):
        (tmp_path / run).mkdir()
        write(tmp_path / run / "CHGCAR", numbered(20 + (run == "run_b")))
        (tmp_path / run / "INCAR").write_text("ENCUT = 400\n")
    (tmp_path / "tars").mkdir()
    write_tar(tmp_path / "tars" / "2.tar", PUBLISHED[:1])
    write_tar(tmp_path / "tars" / "1.tar", PUBLISHED[1:])
    lines = ["# all of it", "tars/2.tar", "", "run_*/CHGCAR", "tars/1.tar"]
    (tmp_path / "all.txt").write_text("\n".join(lines))
    return tmp_path


def test_patterns(folders, monkeypatch):
    data = open_dataset(folders / "run_*" / "CHGCAR")
    assert data.names == ["run_a/CHGCAR", "run_b/CHGCAR"]
    assert [number_of(data, i) for i in (0, 1)] == [20, 21]
    monkeypatch.chdir(folders)
    assert open_dataset("run_*/CHGCAR").names == ["run_a/CHGCAR", "run_b/CHGCAR"]
    assert open_dataset("**/CHGCAR").names == ["run_a/CHGCAR", "run_b/CHGCAR"]
    with pytest.raises(ConfigurationError, match="No file matches the pattern"):
        open_dataset("run_*/AECCAR")
    (folders / "only_folders" / "inner").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match=r"a pattern such as '.*CHGCAR' reaches them"):
        open_dataset("only_folders")


def test_a_folder_of_tar_files(folders):
    data = open_dataset(folders / "tars")
    assert data.names == [*PUBLISHED[1:], PUBLISHED[0]]
    assert [number_of(data, i) for i in range(4)] == [1, 10, 2, 3]


def test_a_list_of_files(folders, tmp_path):
    data = open_dataset(folders / "all.txt")
    numbers = [number_of(data, i) for i in range(len(data))]
    assert numbers == [3, 20, 21, 1, 10, 2]
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"train": [0, 1, 2], "validation": [3], "test": [4, 5]}))
    assert [number_of(split_part(split, "test", data), i) for i in (0, 1)] == [10, 2]
    assert "tars/1.tar::000010.cube" in data.names
    split.write_text(json.dumps({"test": ["tars/1.tar::000010.cube"]}))
    assert read_split(split, data) == {"test": [4]}


def test_unusable_lists(tmp_path):
    path = tmp_path / "a.list"
    path.write_text("# only words\n\nb.cube\n")
    with pytest.raises(ConfigurationError, match=r"a\.list, line 3: there is no 'b.cube'"):
        open_dataset(path)
    path.write_text("a.list")
    with pytest.raises(ConfigurationError, match="contains itself"):
        open_dataset(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        open_dataset(path)


def test_names_tell_files_apart():
    assert unique_names(["/x/a.tar::m/1.zz", "/x/b.cube"]) == ["1.zz", "b.cube"]
    assert unique_names(["/x/a.tar::m/1.zz", "/x/b.tar::m/1.zz"]) == [
        "a.tar::m/1.zz",
        "b.tar::m/1.zz",
    ]
    assert unique_names(["/x/1/CHGCAR", "/x/2/CHGCAR"]) == ["1/CHGCAR", "2/CHGCAR"]
    with pytest.raises(ConfigurationError, match=r"/x/1\.cube is given 2 times"):
        unique_names(["/x/1.cube", "/x/2.cube", "/x/1.cube"])


# Stores, and several sources


@pytest.fixture
def store(tar, tmp_path) -> Path:
    fill_store(tmp_path / "data.store", open_dataset(tar))
    return tmp_path / "data.store"


def test_a_store_of_a_tar_file_has_its_names_and_order(tar, store, tmp_path):
    from_tar, from_store = open_dataset(tar), open_dataset(store)
    assert isinstance(from_store, TrainingStoreDataset)
    assert from_store.names == from_tar.names
    assert [number_of(from_store, i) for i in range(4)] == [3, 1, 10, 2]
    assert from_store.elements() == from_tar.elements() == [1, 9]
    for index in range(4):
        draws = [
            data.draw(index, 200, np.random.default_rng(5), cutoff=3.0)
            for data in (from_tar, from_store)
        ]
        assert np.array_equal(draws[0].points, draws[1].points)
        np.testing.assert_allclose(draws[0].values, draws[1].values, rtol=1e-6)


def test_several_sources_in_order(tar, store, folders, tmp_path):
    data = open_dataset([folders / "run_a" / "CHGCAR", store, folders / "run_b" / "CHGCAR"])
    assert isinstance(data, JoinedDataset)
    assert len(data) == 6
    assert [number_of(data, i) for i in range(6)] == [20, 3, 1, 10, 2, 21]
    # Both files are called CHGCAR, so every name gets its place.
    assert len(set(data.names)) == 6
    assert data.names[1].endswith("data.store/000003.CHGCAR.zz")
    assert data.elements() == [1, 9]
    single = open_dataset(store)
    generators = [np.random.default_rng(1) for _ in range(2)]
    drawn = [
        source.draw(index, 50, generator, cutoff=3.0)
        for source, index, generator in zip((data, single), (3, 2), generators, strict=True)
    ]
    assert np.array_equal(drawn[0].points, drawn[1].points)
    grid = data.grid(3)
    assert np.array_equal(data.slab(3, grid, 2, 4), single.slab(2, grid, 2, 4))
    assert data.n_electrons(3) == single.n_electrons(2)
    assert np.array_equal(data.on_grid(3).values, single.on_grid(2).values)
    part = data.subset([5, 1])
    assert [number_of(part, i) for i in (0, 1)] == [21, 3]
    assert part.on_grid(1).values.shape == (8, 9, 10)
    for index in (6, -1):
        with pytest.raises(IndexError):
            data.atoms(index)


def test_a_store_twice_is_an_error(store):
    with pytest.raises(ConfigurationError, match="is given 2 times"):
        open_dataset([store, store])


def test_a_folder_of_stores_and_files(store, tmp_path):
    write(tmp_path / "a.cube", numbered(7))
    write(tmp_path / "z.zarr", numbered(8))
    data = open_dataset(tmp_path)
    assert [number_of(data, i) for i in range(6)] == [7, 3, 1, 10, 2, 8]


def test_levels_of_theory_of_several_sources(store, tmp_path):
    write(tmp_path / "scan.cube", numbered(1, LevelOfTheory("SCAN")))
    with pytest.raises(LevelOfTheoryError, match="do not fit together: the functional differs"):
        open_dataset([store, tmp_path / "scan.cube"])
    mixed = open_dataset([store, tmp_path / "scan.cube"], mix_levels=True)
    assert number_of(mixed, 4) == 1


def test_single_densities_of_a_store_are_sources(store):
    data = open_dataset(f"{store}::000010.cube")
    assert number_of(data, 0) == 10
    data = open_dataset(f"{store}::00001.cube", {"functional": "PBE"})
    with pytest.raises(ConfigurationError, match=r"has no density '00001\.cube'\. Did you mean"):
        data.atoms(0)


def test_orbital_archives_are_told_apart(tmp_path):
    archive = write_archive(tmp_path / "a.npz", ["H2"])
    write(tmp_path / "b.npz", numbered(1))
    kinds = [source.kind for source in find_sources([archive, tmp_path / "b.npz"])]
    assert kinds == ["orbitals", "density"]


def test_options_of_readers(tmp_path):
    write(tmp_path / "a.cube", numbered(1, LevelOfTheory()))
    data = open_dataset(tmp_path / "a.cube", read_options={"quantity": "spin-density"})
    assert data.on_grid(0).metadata["quantity"] == "spin-density"
    with pytest.raises(ConfigurationError, match="has no option 'spacing'"):
        open_dataset(tmp_path / "a.cube", read_options={"spacing": 0.1})


def test_recent_densities_stay_in_memory_up_to_a_limit(monkeypatch):
    reads = []
    grid = Grid(np.eye(3) * 4, (10, 10, 10))

    def read(path):
        reads.append(path)
        return gaussian_density(Atoms("H", [[1, 1, 1]]), grid)

    monkeypatch.setattr("deepdft.data.grid_dataset._CACHED_BYTES", 3500 * 8)
    data = GridDataset(["a", "b", "c", "d", "e"], LevelOfTheory(), read)
    assert reads == []
    for index in (0, 1, 2, 0, 3, 0, 1, 4):
        data.density(index)
    assert reads == ["a", "b", "c", "d", "b", "e"]
    assert data.atoms(2).get_chemical_formula() == "H"
    assert len(reads) == 6


def test_spin_densities_count_towards_the_limit(monkeypatch):
    reads = []
    grid = Grid(np.eye(3) * 4, (10, 10, 10))

    def read(path):
        reads.append(path)
        density = gaussian_density(Atoms("H", [[1, 1, 1]]), grid)
        return replace(density, spin=np.stack([density.values] * 3))

    # Room for eight densities, or for two with three components of spin.
    monkeypatch.setattr("deepdft.data.grid_dataset._CACHED_BYTES", 8 * 8000)
    data = GridDataset(["a", "b", "c"], LevelOfTheory(), read)
    for index in (0, 1, 0, 1, 2, 0):
        data.density(index)
    assert reads == ["a", "b", "c", "a"]


def test_no_density_is_read_whole_to_know_what_it_holds(tmp_path, monkeypatch):
    names = ["a.cube", "b.CHGCAR.zz", "c.npz", "d.zarr"]
    for number, name in enumerate(names):
        write(tmp_path / name, numbered(number, PBE))
    with TrainingStoreWriter(tmp_path / "e.store") as writer:
        writer.append("e", numbered(4, PBE))
    paths = [*(str(tmp_path / name) for name in names), f"{tmp_path / 'e.store'}::e"]
    expected = [read_density(path).atoms for path in paths]

    def refuse(*arguments, **options):
        raise AssertionError("a density is read")

    data = open_dataset(paths, PBE)
    data._read = refuse
    for index, atoms in enumerate(expected):
        assert data.preview(index).numbers.tolist() == atoms.numbers.tolist()
    assert data.elements() == sorted({int(z) for atoms in expected for z in atoms.numbers})
    assert data.subset([1]).elements() == sorted({int(z) for z in expected[1].numbers})


def test_structures_beyond_the_limit_are_read_again(tmp_path, monkeypatch):
    for number in range(3):
        write(tmp_path / f"{number}.cube", numbered(number, PBE))
    data = open_dataset(tmp_path, PBE)
    expected = [data.preview(i).numbers.tolist() for i in range(3)]
    monkeypatch.setattr("deepdft.data.grid_dataset._CACHED_ATOMS", 0)
    again = open_dataset(tmp_path, PBE)
    assert [again.preview(i).numbers.tolist() for i in (0, 1, 2, 0)] == [*expected, expected[0]]
    assert not again._previews
    assert again.atoms(2).numbers.tolist() == expected[2]
