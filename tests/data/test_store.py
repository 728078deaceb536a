"""The training store: exact, readable by zarr, refused with a sentence where it cannot be used."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from deepdft.data.grid_probes import sums_of_blocks
from deepdft.data.training_store import TrainingStore, TrainingStoreDataset
from deepdft.data.training_store_layout import is_training_store
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.errors import (
    ConfigurationError,
    FileFormatError,
    LevelOfTheoryError,
)
from deepdft.levels import LevelOfTheory
from deepdft.storage.growing_array import GrowingArray, StoredArray
from tests.data.small_stores import assert_same, some_densities
from tests.small_data import PBE

# What is written is what is read


def test_densities_come_back_in_single_precision(store_path):
    store = TrainingStore(store_path)
    assert store.names == list(some_densities())
    for index, expected in enumerate(some_densities().values()):
        found = store.density(index)
        assert_same(found, expected)
        assert store.n_electrons(index) == pytest.approx(expected.n_electrons, rel=1e-6)
        assert np.array_equal(store.slab(index, 1, 3), found.values[1:3])
    diamond = store.density(1)
    assert diamond.metadata == {"comment": "made up", "notes": ["pbc assumed"]}
    assert store.elements() == [1, 6, 7, 8]


def test_any_program_that_reads_zarr_reads_a_store(store_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(store_path, mode="r")
    columns = group.attrs["columns_of_entries"]
    for row, expected in zip(group["entries"][:], some_densities().values(), strict=True):
        entry = dict(zip(columns, row.tolist(), strict=True))
        shape = entry["nx"], entry["ny"], entry["nz"]
        values = group["density"][entry["point"] : entry["point"] + np.prod(shape)]
        assert np.array_equal(values.reshape(shape), expected.values.astype(np.float32))
        atoms = slice(entry["atom"], entry["atom"] + entry["n_atoms"])
        assert np.array_equal(group["positions"][atoms], expected.atoms.positions)
        assert np.array_equal(group["numbers"][atoms], expected.atoms.numbers)


def test_rows_of_arrays_across_files(tmp_path):
    GrowingArray.create(tmp_path / "a", "float64", (2,), chunk_rows=7)
    array = GrowingArray(tmp_path / "a")
    rows = np.random.default_rng(0).standard_normal((40, 2))
    for start, stop in ((0, 3), (3, 4), (4, 25), (25, 40)):
        array.append(rows[start:stop])
    assert StoredArray(tmp_path / "a").rows == 0
    array.commit()
    array.close()
    found = StoredArray(tmp_path / "a")
    assert found.rows == 40
    assert np.array_equal(found.read(0, 40), rows)
    assert np.array_equal(found.read(6, 22), rows[6:22])
    places = np.random.default_rng(1).integers(40, size=200)
    assert np.array_equal(found.take(places), rows[places])
    assert np.array_equal(found.take(places[:0]), rows[:0])
    zarr = pytest.importorskip("zarr")
    assert np.array_equal(zarr.open_array(tmp_path / "a", mode="r")[:], rows)


def test_slabs_that_are_no_whole_blocks(tmp_path):
    density = some_densities()["water.cube"]
    layers = density.grid.shape[0]
    with TrainingStoreWriter(tmp_path / "a.store") as writer:
        pieces = [density.values[i : i + 1] for i in range(layers)]
        writer.append_slabs("a", density.atoms, density.grid, pieces)
        writer.append("b", density)
    store = TrainingStore(tmp_path / "a.store")
    assert np.array_equal(store.density(0).values, store.density(1).values)
    for index in (0, 1):
        expected = sums_of_blocks(density.values.astype(np.float32).ravel())
        assert store.values(index).magnitude == pytest.approx(expected.sum(), rel=1e-12)


# What is refused


def test_what_cannot_be_appended(store_path):
    density = some_densities()["water.cube"]
    too_large = density.values.copy()
    too_large[0, 0, 0] = 1e39
    broken = density.values.copy()
    broken[-1, -1, -1] = np.nan
    with TrainingStoreWriter(store_path) as writer:
        for values in (too_large, broken):
            with pytest.raises(
                ConfigurationError, match="bad: a value is not finite, or too large"
            ):
                writer.append("bad", replace(density, values=values))
        with pytest.raises(ConfigurationError, match="cannot take the name 'diamond'"):
            writer.append("diamond", density)
        for name in ("", "two\nlines"):
            with pytest.raises(ConfigurationError, match="cannot take the name"):
                writer.append(name, density)
        with pytest.raises(ConfigurationError, match="bad has no atoms"):
            writer.append("bad", replace(density, atoms=Atoms()))
        with pytest.raises(ConfigurationError, match="holds a potential"):
            writer.append("bad", replace(density, metadata={"quantity": "potential"}))
        with pytest.raises(LevelOfTheoryError, match="bad does not fit the store"):
            writer.append("bad", replace(density, level=LevelOfTheory("SCAN")))
        for slabs in ([density.values[:2]], [density.values, density.values[:1]]):
            with pytest.raises(ConfigurationError, match=r"layers were given|does not continue"):
                writer.append_slabs("bad", density.atoms, density.grid, slabs)
        writer.append("good", density)
    store = TrainingStore(store_path)
    assert store.names == [*some_densities(), "good"]
    assert_same(store.density(4), density)
    assert_same(store.density(2), some_densities()["slab.CHGCAR.zz"])
    assert store.levels == [PBE]


def test_levels_may_be_mixed_on_demand(store_path):
    other = LevelOfTheory("SCAN")
    with TrainingStoreWriter(store_path, mix_levels=True) as writer:
        writer.append("b", replace(some_densities()["water.cube"], level=other))
    assert TrainingStore(store_path).level(4) == other
    with pytest.raises(LevelOfTheoryError, match="does not fit the data"):
        TrainingStoreDataset(store_path)
    assert TrainingStoreDataset(store_path, mix_levels=True).level == PBE


def test_places_that_hold_something_else(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "important.txt").write_text("text")
    for name in ("file", "folder"):
        with pytest.raises(ConfigurationError, match="exists and is not a training store"):
            TrainingStoreWriter(tmp_path / name)
    with pytest.raises(ConfigurationError, match="There is no folder"):
        TrainingStoreWriter(tmp_path / "nowhere" / "a.store")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    with pytest.raises(FileFormatError, match="not a training store"):
        TrainingStore(tmp_path / "folder")
    TrainingStoreWriter(tmp_path / "empty").close()
    assert is_training_store(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="holds no density"):
        TrainingStoreDataset(tmp_path / "empty")


def test_one_writer_at_a_time(store_path):
    with (
        TrainingStoreWriter(store_path),
        pytest.raises(ConfigurationError, match="Another process"),
    ):
        TrainingStoreWriter(store_path)
    TrainingStoreWriter(store_path).close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda p: (p / "zarr.json").write_text("{"),
        lambda p: (p / "density" / "zarr.json").unlink(),
        lambda p: (p / "density" / "zarr.json").write_text("[1]"),
        lambda p: (p / "entries" / "c" / "0" / "0").write_bytes(b"\xff" * (3 << 18)),
        lambda p: (p / "entries" / "c" / "0" / "0").write_bytes(b"short"),
        lambda p: (p / "cells" / "c" / "0" / "0").write_bytes(b"\xff" * (11 << 18)),
        lambda p: (p / "descriptions" / "c" / "0").write_bytes(b"\xff" * (1 << 20)),
        lambda p: _change(p / "numbers" / "zarr.json", "shape", [3]),
        lambda p: _change(p / "density" / "zarr.json", "codecs", [{"name": "gzip"}]),
        lambda p: _change(p / "zarr.json", "attributes", {"format": "x", "version": 1}),
    ],
)
def test_damaged_stores_are_refused_with_a_sentence(store_path, damage):
    damage(store_path)
    with pytest.raises(FileFormatError, match=r"store|array|cannot be read"):
        TrainingStore(store_path)


def _change(path, key, value):
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def test_a_file_cut_short_is_refused_when_it_is_read(store_path):
    (store_path / "density" / "c" / "0").write_bytes(b"short")
    with pytest.raises(FileFormatError, match="cannot be read"):
        TrainingStore(store_path).density(0)
