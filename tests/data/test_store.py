"""The training store: exact, readable by zarr, drawn from like files, safe against interruption."""

from __future__ import annotations

import json
import multiprocessing
import os
import pickle
import shutil
import signal
import time
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.config import SamplingConfig
from deepdft.data import open_dataset
from deepdft.data.conversion import fill_store
from deepdft.data.grid_dataset import GridDataset
from deepdft.data.grid_probes import BLOCK, LoadedValues, sums_of_blocks
from deepdft.data.growing_array import GrowingArray, StoredArray
from deepdft.data.levels import common_level, completed_level, parse_level
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.data.store import DensityStore, StoreDataset
from deepdft.data.store_layout import is_store
from deepdft.data.store_writer import StoreWriter
from deepdft.density import Density, Grid, LevelOfTheory
from deepdft.errors import (
    ConfigurationError,
    FileFormatError,
    LevelOfTheoryError,
    UnsupportedStructureError,
)
from deepdft.training.batches import BatchBuilder, TrainingBatches
from tests.small_data import PBE, gaussian_density, write_archive

CUTOFF = 3.0


def some_densities() -> dict[str, Density]:
    """Densities of every kind: molecule, crystal, slab; no, one and three spin components."""
    water = molecule("H2O")
    carbon = bulk("C", "diamond", a=3.57)
    slab = Atoms("NO", [[0, 0, 4.0], [1.0, 1, 5.1]], cell=np.diag([3.0, 3, 9]), pbc=(1, 1, 0))
    made = {
        "water.cube": gaussian_density(water, Grid.around(water, 0.31, 2.5)),
        "diamond": gaussian_density(carbon, Grid.of_cell(carbon, 0.17)),
        "slab.CHGCAR.zz": gaussian_density(slab, Grid.of_cell(slab, 0.4)),
        "ein Ångström": gaussian_density(water, Grid(np.eye(3), (1, 2, 3))),
    }
    generator = np.random.default_rng(0)
    for name, components in (("diamond", ()), ("water.cube", (3,))):
        spin = generator.standard_normal((*components, *made[name].grid.shape))
        made[name] = replace(made[name], spin=spin)
    noted = {"comment": "made up", "notes": ["pbc assumed"], "augmentation": ["lots of text"]}
    made["diamond"] = replace(made["diamond"], metadata=noted)
    return made


@pytest.fixture
def store_path(tmp_path):
    path = tmp_path / "some.store"
    with StoreWriter(path) as writer:
        for name, density in some_densities().items():
            writer.append(name, density)
    return path


def assert_same(found: Density, expected: Density) -> None:
    assert np.array_equal(found.values, expected.values.astype(np.float32))
    assert found.values.dtype == np.float32
    assert found.atoms == expected.atoms
    assert np.array_equal(found.atoms.pbc, expected.atoms.pbc)
    assert np.array_equal(found.grid.cell, expected.grid.cell)
    assert np.array_equal(found.grid.origin, expected.grid.origin)
    assert found.level == expected.level
    assert (found.spin is None) == (expected.spin is None)
    if found.spin is not None and expected.spin is not None:
        assert np.array_equal(found.spin, expected.spin.astype(np.float32))


# What is written is what is read


def test_densities_come_back_in_single_precision(store_path):
    store = DensityStore(store_path)
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
    with StoreWriter(tmp_path / "a.store") as writer:
        pieces = [density.values[i : i + 1] for i in range(layers)]
        writer.append_slabs("a", density.atoms, density.grid, pieces)
        writer.append("b", density)
    store = DensityStore(tmp_path / "a.store")
    assert np.array_equal(store.density(0).values, store.density(1).values)
    for index in (0, 1):
        expected = sums_of_blocks(density.values.astype(np.float32).ravel())
        assert store.values(index).magnitude == pytest.approx(expected.sum(), rel=1e-12)


# Random probes


def test_probes_are_those_of_the_files(store_path):
    made = {
        name: replace(d, values=d.values.astype(np.float32)) for name, d in some_densities().items()
    }
    files = GridDataset(list(made), read=lambda path: made[path])
    stored = StoreDataset(store_path)
    assert stored.names == list(made)
    for index in range(4):
        for importance in (0.0, 0.5, 0.9):
            draws = [
                data.draw(
                    index, 500, np.random.default_rng(3), cutoff=CUTOFF, importance=importance
                )
                for data in (files, stored)
            ]
            assert np.array_equal(draws[0].points, draws[1].points)
            assert np.array_equal(draws[0].values, draws[1].values)
            assert np.array_equal(draws[0].weights, draws[1].weights)


@pytest.mark.parametrize("n_points", [1, 5, BLOCK - 1, BLOCK, BLOCK + 1, 5 * BLOCK + 17])
def test_points_are_found_by_the_running_sum(n_points):
    generator = np.random.default_rng(n_points)
    values = generator.standard_normal(n_points) * (generator.random(n_points) > 0.3)
    values[generator.integers(n_points)] = 1.0
    found = LoadedValues(values.reshape(1, 1, -1))
    running = np.cumsum(np.abs(values))
    assert found.magnitude == pytest.approx(running[-1])
    sums = np.concatenate((generator.random(1000) * running[-1], [0.0]))
    assert np.array_equal(found.find(sums), np.searchsorted(running, sums, side="right"))
    # Rounding may ask for a sum that is not reached: the last point with density is taken.
    beyond = found.find(np.array([found.magnitude * (1 + 1e-15)]))
    assert beyond[0] == np.flatnonzero(values)[-1]


def test_weights_make_important_draws_unbiased(store_path):
    """The weighted mean of 1 / rho does not exist elsewhere; that of rho is the mean density."""
    data = StoreDataset(store_path)
    density = data.on_grid(1)
    exact = density.values.mean(dtype=np.float64)
    generator = np.random.default_rng(0)
    means = []
    for _ in range(300):
        drawn = data.draw(1, 400, generator, cutoff=CUTOFF, importance=0.5)
        means.append((drawn.weights * drawn.values).mean())
    error = np.std(means, ddof=1) / np.sqrt(len(means))
    assert error < 0.01 * exact
    assert abs(np.mean(means) - exact) < 4 * error


def test_only_the_pages_that_are_drawn_are_read(tmp_path, monkeypatch):
    atoms = Atoms("H", [[2.0, 2, 2]])
    grid = Grid(np.diag([4.0, 4, 4]), (100, 100, 100))
    with StoreWriter(tmp_path / "a.store") as writer:
        writer.append("a", Density(atoms, grid, np.random.default_rng(0).random(grid.shape)))
    rows = []
    real = StoredArray.take
    monkeypatch.setattr(
        StoredArray, "take", lambda self, places: rows.append(len(places)) or real(self, places)
    )
    monkeypatch.setattr(StoredArray, "read", _refuse_long_reads(StoredArray.read))
    data = StoreDataset(tmp_path / "a.store")
    data.draw(0, 1000, np.random.default_rng(0), cutoff=5.0)
    assert sum(rows) == 1000
    rows.clear()
    data.draw(0, 100, np.random.default_rng(0), cutoff=5.0, importance=0.5)
    assert sum(rows) <= 100 + 256 * BLOCK


def _refuse_long_reads(read):
    def short(self, start, stop):
        assert stop - start < 2000
        return read(self, start, stop)

    return short


def test_announced_densities_are_read_ahead(store_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "POSIX_FADV_WILLNEED", 3, raising=False)
    monkeypatch.setattr(os, "posix_fadvise", lambda file, *rest: asked.append(rest), raising=False)
    data = StoreDataset(store_path)
    entry = data.store.entry(1)
    data.subset([3, 1]).prefetch(1)
    assert asked == [(4 * entry.point, 4 * entry.padded, 3)]
    asked.clear()
    monkeypatch.setattr("deepdft.data.store._PREFETCHED_POINTS", entry.padded - 1)
    data.prefetch(1)  # too large to be read whole for some probes
    assert asked == []
    array = StoredArray(store_path / "density")
    array.chunk_rows = 100
    monkeypatch.setattr(array, "_path", lambda chunk: str(store_path / "zarr.json"))
    array.prefetch(150, 420)
    assert asked == [(200, 200, 3), (0, 400, 3), (0, 400, 3), (0, 80, 3)]
    monkeypatch.setattr(array, "_path", lambda chunk: "nowhere")
    array.prefetch(0, 10)


def test_training_announces_the_next_step(store_path, monkeypatch):
    data = StoreDataset(store_path)
    announced = []
    monkeypatch.setattr(data, "prefetch", announced.append)
    sampling = SamplingConfig(structures=1, probes=20)
    batches = TrainingBatches(BatchBuilder(data, CUTOFF, None), sampling, seed=0, count=6)
    for step, _ in enumerate(batches):
        assert announced == [batches.structures(k + 1)[0] for k in range(step + 1)]


def test_atoms_that_the_grid_does_not_reach(tmp_path):
    grid = Grid(np.eye(3) * 4, (8, 8, 8))
    with StoreWriter(tmp_path / "a.store") as writer:
        writer.append("a", Density(Atoms("H", [[90.0, 0, 0]]), grid, np.ones(grid.shape)))
    with pytest.raises(UnsupportedStructureError, match="no grid point within"):
        StoreDataset(tmp_path / "a.store").draw(0, 9, np.random.default_rng(0), cutoff=CUTOFF)


def test_a_dataset_goes_to_other_processes(store_path):
    data = StoreDataset(store_path)
    copy = pickle.loads(pickle.dumps(data))
    first, second = (
        d.draw(1, 50, np.random.default_rng(0), cutoff=CUTOFF, importance=0.5) for d in (data, copy)
    )
    assert np.array_equal(first.points, second.points)


# What is refused


def test_what_cannot_be_appended(store_path):
    density = some_densities()["water.cube"]
    too_large = density.values.copy()
    too_large[0, 0, 0] = 1e39
    broken = density.values.copy()
    broken[-1, -1, -1] = np.nan
    with StoreWriter(store_path) as writer:
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
    store = DensityStore(store_path)
    assert store.names == [*some_densities(), "good"]
    assert_same(store.density(4), density)
    assert_same(store.density(2), some_densities()["slab.CHGCAR.zz"])
    assert store.levels == [PBE]


def test_levels_may_be_mixed_on_demand(store_path):
    other = LevelOfTheory("SCAN")
    with StoreWriter(store_path, mix_levels=True) as writer:
        writer.append("b", replace(some_densities()["water.cube"], level=other))
    assert DensityStore(store_path).level(4) == other
    with pytest.raises(LevelOfTheoryError, match="does not fit the data"):
        StoreDataset(store_path)
    assert StoreDataset(store_path, mix_levels=True).level == PBE


def test_places_that_hold_something_else(tmp_path):
    (tmp_path / "file").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "important.txt").write_text("text")
    for name in ("file", "folder"):
        with pytest.raises(ConfigurationError, match="exists and is not a training store"):
            StoreWriter(tmp_path / name)
    with pytest.raises(ConfigurationError, match="There is no folder"):
        StoreWriter(tmp_path / "nowhere" / "a.store")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    with pytest.raises(FileFormatError, match="not a training store"):
        DensityStore(tmp_path / "folder")
    StoreWriter(tmp_path / "empty").close()
    assert is_store(tmp_path / "empty")
    with pytest.raises(ConfigurationError, match="holds no density"):
        StoreDataset(tmp_path / "empty")


def test_one_writer_at_a_time(store_path):
    with StoreWriter(store_path), pytest.raises(ConfigurationError, match="Another process"):
        StoreWriter(store_path)
    StoreWriter(store_path).close()


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
        DensityStore(store_path)


def _change(path, key, value):
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))


def test_a_file_cut_short_is_refused_when_it_is_read(store_path):
    (store_path / "density" / "c" / "0").write_bytes(b"short")
    with pytest.raises(FileFormatError, match="cannot be read"):
        DensityStore(store_path).density(0)


# Interruptions


class _PowerCut(BaseException):
    pass


def numbered(number: int) -> Density:
    atoms = Atoms("CO"[: 1 + number % 2], 0.5 * number + np.eye(3)[: 1 + number % 2])
    grid = Grid(np.eye(3) * 5, (6 + number % 5, 14, 15))
    values = np.random.default_rng(number).random(grid.shape)
    return Density(atoms, grid, values, values - 0.5 if number % 3 == 0 else None, PBE)


@pytest.mark.parametrize("interrupted_call", range(10))
def test_an_interruption_at_any_step_of_an_entry_loses_that_entry_alone(
    tmp_path, monkeypatch, interrupted_call
):
    path = tmp_path / "a.store"
    writer = StoreWriter(path)
    for number in range(3):
        writer.append(str(number), numbered(number))
    real, calls = os.replace, []

    def replace_or_die(*arguments):
        calls.append(arguments)
        if len(calls) > interrupted_call:
            raise _PowerCut
        real(*arguments)

    monkeypatch.setattr(os, "replace", replace_or_die)
    with pytest.raises(_PowerCut):  # noqa: PT012 - which of the two it hits is the point
        writer.append("3", numbered(3))
        writer.append("4", numbered(4))
    monkeypatch.setattr(os, "replace", real)
    survived = shutil.copytree(path, tmp_path / "b.store")  # the dead writer still has its lock
    count = len(DensityStore(survived))
    assert count == (4 if interrupted_call == 9 else 3)
    with StoreWriter(survived) as again:
        assert len(again) == count
        for number in range(count, 7):
            again.append(str(number), numbered(number))
    store = DensityStore(survived)
    assert store.names == [str(number) for number in range(7)]
    for number in range(7):
        assert_same(store.density(number), numbered(number))


def _write_forever(path):
    with StoreWriter(path) as writer:
        while True:
            writer.append(str(len(writer)), numbered(len(writer)))


def test_killed_writers(tmp_path):
    path = tmp_path / "a.store"
    reached = 0
    generator = np.random.default_rng(0)
    for _ in range(4):
        process = multiprocessing.get_context("fork").Process(target=_write_forever, args=(path,))
        process.start()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if is_store(path) and len(DensityStore(path)) > reached + 5:
                break
            time.sleep(0.01)
        time.sleep(0.02 * generator.random())
        before = len(DensityStore(path))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        store = DensityStore(path)
        assert len(store) >= before > reached
        reached = len(store)
    assert store.names == [str(number) for number in range(reached)]
    for number in range(reached):
        assert_same(store.density(number), numbered(number))


def test_entries_that_never_reached_the_disk_are_dropped(tmp_path):
    path = tmp_path / "a.store"
    with StoreWriter(path) as writer:
        for number in range(5):
            writer.append(str(number), numbered(number))
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"]["synced"] = 2
    (path / "zarr.json").write_text(json.dumps(group))
    entry = DensityStore(path).entry(3)
    with (path / "density" / "c" / "0").open("r+b") as file:
        file.seek(4 * entry.point + 400)
        file.write(bytes(100))
    with StoreWriter(path) as writer:
        assert writer.names == ["0", "1", "2"]
        writer.append("3", numbered(3))
    assert_same(DensityStore(path).density(3), numbered(3))


# Conversion


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
    assert DensityStore(tmp_path / "a.store").names == ["water.cube"]
    reads.extend(["padding"] * 10)
    done = []
    summary = fill_store(tmp_path / "a.store", data, workers=3, progress=done.append)
    assert (summary.added, summary.present, summary.skipped) == (3, 1, [])
    assert done == list(made)[1:]
    assert DensityStore(tmp_path / "a.store").names == list(made)
    opened = open_dataset(tmp_path / "a.store")
    assert isinstance(opened, StoreDataset)
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
    store = StoreDataset(tmp_path / "a.store")
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
    with StoreWriter(tmp_path / "a.store") as writer:
        for number, level in enumerate(levels):
            writer.append(str(number), replace(density, level=level))
        with pytest.raises(LevelOfTheoryError, match="does not fit the store"):
            writer.append("3", replace(density, level=LevelOfTheory("SCAN")))
    assert StoreDataset(tmp_path / "a.store").level == LevelOfTheory("PBE", "PAW")
