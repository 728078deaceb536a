"""Datasets of files and of orbitals become a training store."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deepdft.data import open_dataset
from deepdft.data.conversion import fill_store
from deepdft.data.grid_dataset import GridDataset
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.data.training_store import TrainingStore, TrainingStoreDataset
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.errors import (
    ConfigurationError,
    FileFormatError,
    LevelOfTheoryError,
)
from deepdft.levels import LevelOfTheory, common_level, completed_level, parse_level
from tests.data.small_stores import assert_same, some_densities
from tests.small_data import PBE, write_archive


def test_a_dataset_becomes_a_store_and_is_gone_on_with(tmp_path):
    made = some_densities()
    reads = []

    def read(path):
        reads.append(path)
        if path == "diamond" and len(reads) < 6:
            raise FileFormatError("diamond is damaged.")
        return made[path]

    data = GridDataset(list(made), LevelOfTheory(basis="gth-dzvp"), read=read)
    with pytest.raises(FileFormatError, match="diamond is damaged"):
        fill_store(tmp_path / "a.store", data)
    assert TrainingStore(tmp_path / "a.store").names == ["water.cube"]
    reads.extend(["padding"] * 10)
    done = []
    summary = fill_store(tmp_path / "a.store", data, workers=3, progress=done.append)
    assert (summary.added, summary.present, summary.skipped) == (3, 1, [])
    assert done == list(made)[1:]
    assert TrainingStore(tmp_path / "a.store").names == list(made)
    opened = open_dataset(tmp_path / "a.store")
    assert isinstance(opened, TrainingStoreDataset)
    assert opened.level == PBE
    for index, expected in enumerate(made.values()):
        assert_same(opened.on_grid(index), expected)


def test_unusable_densities_are_skipped_on_demand(tmp_path):
    made = some_densities()

    def read(path):
        if path == "diamond":
            raise FileFormatError("diamond is damaged.")
        return made[path]

    data = GridDataset(list(made), read=read)
    summary = fill_store(tmp_path / "a.store", data, skip_unusable=True)
    assert summary.added == 3
    assert summary.skipped == [("diamond", "diamond is damaged.")]


def test_orbitals_are_evaluated_on_a_grid(tmp_path):
    data = OrbitalDataset(write_archive(tmp_path / "a.npz", ["H2O", "CH4"]))
    fill_store(tmp_path / "a.store", data, spacing=0.4, margin=3.0)
    store = TrainingStoreDataset(tmp_path / "a.store")
    assert store.names == data.names
    grid = data.grid(1, 0.4, 3.0)
    assert store.grid(1).is_close(grid, 1e-12)
    np.testing.assert_array_equal(
        store.slab(1, grid, 0, grid.shape[0]), data.slab(1, grid, 0, grid.shape[0])
    )
    assert store.level == data.level


def test_levels_of_theory_are_completed():
    assumed = parse_level(["functional=PBE", "code=VASP"])
    known = LevelOfTheory(core="PAW")
    assert completed_level(known, assumed) == LevelOfTheory("PBE", "PAW", code="VASP")
    assert completed_level(LevelOfTheory("SCAN"), assumed).functional == "SCAN"
    for text in ("PBE", "funktional=PBE"):
        with pytest.raises(ConfigurationError, match="not of the form FIELD=VALUE"):
            parse_level([text])


def test_an_unknown_level_does_not_join_two_that_differ(tmp_path):
    levels = [LevelOfTheory(), LevelOfTheory("PBE"), LevelOfTheory(core="PAW")]
    assert common_level(levels, "x") == LevelOfTheory("PBE", "PAW")
    with pytest.raises(LevelOfTheoryError, match="x: the functional differ"):
        common_level([*levels, LevelOfTheory("SCAN")], "x")
    density = some_densities()["water.cube"]
    with TrainingStoreWriter(tmp_path / "a.store") as writer:
        for number, level in enumerate(levels):
            writer.append(str(number), replace(density, level=level))
        with pytest.raises(LevelOfTheoryError, match="does not fit the store"):
            writer.append("3", replace(density, level=LevelOfTheory("SCAN")))
    assert TrainingStoreDataset(tmp_path / "a.store").level == LevelOfTheory("PBE", "PAW")
