"""Random probes from a training store: those of the files, read page by page and ahead."""

from __future__ import annotations

import os
import pickle
from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from deepdft.data.grid_dataset import GridDataset
from deepdft.data.grid_probes import BLOCK, LoadedValues
from deepdft.data.training_store import TrainingStoreDataset
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density, Grid
from deepdft.errors import (
    UnsupportedStructureError,
)
from deepdft.storage.growing_array import StoredArray
from deepdft.training.batches import BatchBuilder, TrainingBatches
from deepdft.training.config import SamplingConfig
from tests.data.small_stores import some_densities

CUTOFF = 3.0


def test_probes_are_those_of_the_files(store_path):
    made = {
        name: replace(d, values=d.values.astype(np.float32)) for name, d in some_densities().items()
    }
    files = GridDataset(list(made), read=lambda path: made[path])
    stored = TrainingStoreDataset(store_path)
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
    data = TrainingStoreDataset(store_path)
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
    with TrainingStoreWriter(tmp_path / "a.store") as writer:
        writer.append("a", Density(atoms, grid, np.random.default_rng(0).random(grid.shape)))
    rows = []
    real = StoredArray.take
    monkeypatch.setattr(
        StoredArray, "take", lambda self, places: rows.append(len(places)) or real(self, places)
    )
    monkeypatch.setattr(StoredArray, "read", _refuse_long_reads(StoredArray.read))
    data = TrainingStoreDataset(tmp_path / "a.store")
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
    data = TrainingStoreDataset(store_path)
    entry = data.store.entry(1)
    data.subset([3, 1]).prefetch(1)
    assert asked == [(4 * entry.point, 4 * entry.padded, 3)]
    asked.clear()
    monkeypatch.setattr("deepdft.data.training_store._PREFETCHED_POINTS", entry.padded - 1)
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
    data = TrainingStoreDataset(store_path)
    announced = []
    monkeypatch.setattr(data, "prefetch", announced.append)
    sampling = SamplingConfig(structures=1, probes=20)
    batches = TrainingBatches(BatchBuilder(data, CUTOFF, None), sampling, seed=0, count=6)
    for step, _ in enumerate(batches):
        assert announced == [batches.structures(k + 1)[0] for k in range(step + 1)]


def test_atoms_that_the_grid_does_not_reach(tmp_path):
    grid = Grid(np.eye(3) * 4, (8, 8, 8))
    with TrainingStoreWriter(tmp_path / "a.store") as writer:
        writer.append("a", Density(Atoms("H", [[90.0, 0, 0]]), grid, np.ones(grid.shape)))
    with pytest.raises(UnsupportedStructureError, match="no grid point within"):
        TrainingStoreDataset(tmp_path / "a.store").draw(
            0, 9, np.random.default_rng(0), cutoff=CUTOFF
        )


def test_a_dataset_goes_to_other_processes(store_path):
    data = TrainingStoreDataset(store_path)
    copy = pickle.loads(pickle.dumps(data))
    first, second = (
        d.draw(1, 50, np.random.default_rng(0), cutoff=CUTOFF, importance=0.5) for d in (data, copy)
    )
    assert np.array_equal(first.points, second.points)
