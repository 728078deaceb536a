"""Opening data by path, and splits."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from ase import Atoms

from deepdft.data import open_dataset, random_split, read_split, split_part
from deepdft.data.grid_dataset import GridDataset
from deepdft.data.joined import JoinedDataset
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.levels import LevelOfTheory, SharedLevel
from tests.small_data import PBE, gaussian_density, write_archive


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive") / "some.npz")


@pytest.fixture(scope="module")
def dataset(archive):
    """Six molecules named 10 to 15."""
    return open_dataset(archive)


@pytest.fixture
def write_split(tmp_path):
    def write(content):
        path = tmp_path / "split.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_orbital_archives(archive, dataset):
    assert isinstance(dataset, OrbitalDataset)
    assert dataset.names == ["10", "11", "12", "13", "14", "15"]
    assert dataset.level == PBE
    assert dataset.elements() == [1, 6, 7, 8]
    assert dataset.atoms(1).get_chemical_formula() == "H2O"
    assert len(open_dataset([str(archive)])) == 6
    assert open_dataset(archive.parent).names == dataset.names


def test_a_folder_is_searched_for_data_only(archive, tmp_path):
    (tmp_path / "some.npz").write_bytes(archive.read_bytes())
    for name in ("split.json", "README.md", ".hidden", "notes.txt"):
        (tmp_path / name).write_text("{}")
    assert len(open_dataset(tmp_path)) == 6


def test_density_files(tmp_path):
    grid = Grid(np.diag([4.0, 5.0, 6.0]), (8, 10, 12))
    for i, name in enumerate(("b.cube", "a.cube")):
        atoms = Atoms("HF", [[1, 1, 1], [1, 1, 1.9 + 0.1 * i]])
        gaussian_density(atoms, grid).write(tmp_path / name)
    found = open_dataset(tmp_path, {"functional": "PBE", "core": "GTH-PBE"})
    assert isinstance(found, GridDataset)
    assert found.names == ["a.cube", "b.cube"]
    assert found.level == LevelOfTheory("PBE", "GTH-PBE")
    assert found.atoms(1).get_distance(0, 1) == pytest.approx(0.9, abs=1e-5)
    assert found.grid(0).shape == (8, 10, 12)


def test_what_cannot_be_opened(archive, tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigurationError, match="No density files were found"):
        open_dataset(tmp_path)
    with pytest.raises(ConfigurationError, match=r"data\.paths"):
        open_dataset([])
    (tmp_path / "a.cube").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be mixed"):
        open_dataset([archive, tmp_path / "a.cube"])


# Splits


def test_split_by_name(dataset, write_split):
    path = write_split({"train": [12, "10"], "validation": [15], "test": [], "comment": "by hand"})
    assert read_split(path, dataset) == {"train": [2, 0], "validation": [5], "test": []}
    part = split_part(path, "train", dataset)
    assert part.names == ["12", "10"]
    assert part.atoms(0).get_chemical_formula() == "CH4"
    assert part.level == PBE
    assert len(part.subset([1])) == 1
    assert part.subset([1]).names == ["10"]


def test_split_by_position(dataset, write_split):
    path = write_split({"train": [0, 1, 5], "validation": [3]})
    assert read_split(path, dataset) == {"train": [0, 1, 5], "validation": [3]}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"train": [10, 11], "test": [12, 11]}, "'11' both in 'train' and in 'test'"),
        ({"train": [10, "11"], "test": ["10"]}, "'10' both in 'train' and in 'test'"),
        ({"train": [0, 1], "test": [1]}, "'1' both in 'train' and in 'test'"),
        ({"train": [10, 99]}, "names '99', which the data lack"),
        ({"train": [10, 0]}, "names '0', which the data lack"),
        ({"train": [6]}, "names '6', which the data lack"),
        ({"train": [-1]}, "names '-1', which the data lack"),
        ([1, 2], "must hold lists by name"),
        ("{", "not valid JSON"),
    ],
)
def test_splits_that_are_refused(dataset, write_split, content, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        read_split(write_split(content), dataset)


def test_missing_parts_and_files(dataset, write_split, tmp_path):
    path = write_split({"train": [10], "validation": [11]})
    with pytest.raises(ConfigurationError, match=r"no part 'trian'.*Did you mean 'train'\?"):
        split_part(path, "trian", dataset)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_split(tmp_path / "missing.json", dataset)


def test_a_part_that_is_empty_is_refused(dataset, write_split):
    path = write_split({"train": [10], "test": []})
    with pytest.raises(ConfigurationError, match="has no structures under 'test'"):
        split_part(path, "test", dataset)


def test_random_split():
    parts = random_split(20, 5, seed=3)
    assert len(parts["validation"]) == 5
    assert sorted(parts["train"] + parts["validation"]) == list(range(20))
    assert parts == random_split(20, 5, seed=3)
    assert parts != random_split(20, 5, seed=4)
    # A fair draw: every structure is held out by some seed.
    held_out = {i for seed in range(40) for i in random_split(20, 5, seed)["validation"]}
    assert held_out == set(range(20))
    for count in (5, 4, 0):
        with pytest.raises(ConfigurationError, match="cannot be held out"):
            random_split(count, 5, seed=0)


# Levels of theory


def test_files_of_other_levels_are_refused_when_they_are_read():
    grid = Grid(np.eye(3) * 4, (4, 4, 4))
    levels = {"a": PBE, "b": LevelOfTheory("PBE0"), "c": LevelOfTheory()}

    def read(path):
        return gaussian_density(Atoms("H", [[1, 1, 1]]), grid, levels[path])

    data = GridDataset(["a", "b", "c"], read=read)
    assert data.level == PBE
    assert data.atoms(2)
    with pytest.raises(LevelOfTheoryError, match=r"^b does not fit .* functional differs"):
        data.density(1)
    mixed = GridDataset(["a", "b", "c"], read=read, mix_levels=True)
    assert mixed.density(1).level.functional == "PBE0"
    with pytest.raises(LevelOfTheoryError, match=r"^a does not fit"):
        GridDataset(["a"], LevelOfTheory("SCAN"), read=read).density(0)


def test_an_unknown_level_does_not_bridge_two_that_differ():
    grid = Grid(np.eye(3) * 4, (4, 4, 4))
    levels = {
        "unknown": LevelOfTheory(),
        "pbe": LevelOfTheory("PBE", "PAW"),
        "scan": LevelOfTheory("SCAN", "all-electron"),
    }

    def read(path):
        return gaussian_density(Atoms("H", [[1, 1, 1]]), grid, levels[path])

    for names in itertools.permutations(levels):
        data = GridDataset(list(names), read=read)
        data.density(0)
        with pytest.raises(LevelOfTheoryError, match="does not fit the data: the functional and"):
            [data.density(index) for index in (1, 2)]
        # Neither do two parts, of which only the second ones are known.
        parts = [GridDataset(["unknown", name], read=read) for name in ("pbe", "scan")]
        joined = JoinedDataset(parts, ["one", "two"])
        joined.on_grid(1)
        with pytest.raises(LevelOfTheoryError, match=r"^scan does not fit the data"):
            joined.on_grid(3)
        # Nor data and a model: the data's first file does not say.
        data = GridDataset(["unknown", "pbe"], read=read)
        data.subset([0, 1]).compare_with(SharedLevel(levels["scan"]), "They differ")
        with pytest.raises(LevelOfTheoryError, match=r"^pbe does not fit"):
            data.density(1)


def test_names_of_density_files_are_unique():
    grid = Grid(np.eye(3) * 4, (4, 4, 4))

    def read(path):
        return gaussian_density(Atoms("H", [[1, 1, 1]]), grid)

    assert GridDataset(["x/CHGCAR_1", "y/CHGCAR_2"], read=read).names == ["CHGCAR_1", "CHGCAR_2"]
    assert GridDataset(["x/CHGCAR", "y/CHGCAR"], read=read).names == ["x/CHGCAR", "y/CHGCAR"]
