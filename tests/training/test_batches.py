"""Batches of probes: functions of seed, step and process, and of nothing else."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from ase.build import molecule

from deepdft.data import grid_dataset, open_dataset
from deepdft.data.grid_dataset import GridDataset
from deepdft.density import Grid
from deepdft.errors import FileFormatError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.geometry.graphs import probe_edges
from deepdft.testing.networks import forward, small_network
from deepdft.training.batches import BatchBuilder, TrainingBatches, ValidationBatches
from deepdft.training.config import SamplingConfig
from tests.small_data import PBE, gaussian_density
from tests.training.small_runs import assert_same

CUTOFF = 4.0


@pytest.fixture(scope="module")
def dataset(archive):
    return open_dataset(archive)


def batches(
    dataset, *, seed=1, rank=0, processes=1, structures=2, count=5, baseline=None, workers=0
):
    builder = BatchBuilder(dataset, CUTOFF, baseline)
    sampling = SamplingConfig(structures=structures, probes=20, importance=0.5)
    result = TrainingBatches(builder, sampling, seed, count, workers)
    result.rank, result.processes = rank, processes
    return result


def fields(batch):
    edges = batch.edges
    return {
        "numbers": batch.graph.numbers, "atom_distances": batch.graph.edges.distances,
        "senders": edges.senders, "offsets": edges.offsets, "distances": edges.distances,
        "target": batch.target, "baseline": batch.baseline, "weights": batch.weights,
        "structure": batch.structure,
    }  # fmt: skip


def test_a_draw_is_a_function_of_seed_step_and_process(dataset):
    reference = fields(batches(dataset).batch(7))
    # Whatever was drawn before.
    used = batches(dataset)
    list(used)
    used.batch(100)
    assert_same(fields(used.batch(7)), reference)
    for other in (
        batches(dataset, seed=2).batch(7),
        batches(dataset).batch(8),
        batches(dataset, rank=1).batch(7),
    ):
        assert other.target.shape[0] != reference["target"].shape[0] or not torch.equal(
            other.target, reference["target"]
        )


def test_the_same_structures_draw_other_points_in_other_processes(dataset):
    single = dataset.subset([0])
    drawn = [
        batches(single, rank=rank, processes=2, structures=1).batch(3).target for rank in (0, 1)
    ]
    assert not np.isin(drawn[0], drawn[1]).any()


def test_iteration_starts_where_the_run_stands(dataset):
    some = batches(dataset, count=3)
    some.first_step = 40
    assert len(some) == 3
    for step, batch in zip((40, 41, 42), some, strict=True):
        assert_same(fields(batch), fields(batches(dataset).batch(step)))


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_that_draw_ahead_draw_the_same(dataset, workers):
    expected = [fields(batch) for batch in batches(dataset, count=20)]
    ahead = batches(dataset, count=20, workers=workers)
    assert_same([fields(batch) for batch in ahead], expected)
    # Where the run stands is asked when the first batch is.
    iterator = iter(ahead)
    ahead.first_step = 4
    assert_same(fields(next(iterator)), expected[4])
    iterator.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("probes")]


def test_an_error_while_drawing_ahead_is_raised_and_ends_the_threads(dataset, monkeypatch):
    batch = batches(dataset, count=20, workers=3)
    draw = batch.builder.dataset.draw

    def fails(index, *arguments, **options):
        if batch.structures(7)[0] == index:
            raise FileFormatError("damaged")
        return draw(index, *arguments, **options)

    monkeypatch.setattr(batch.builder.dataset, "draw", fails)
    with pytest.raises(FileFormatError, match="damaged"):
        list(batch)
    assert not [t for t in threading.enumerate() if t.name.startswith("probes")]


def test_threads_share_a_cache_that_holds_too_little(monkeypatch):
    densities = [
        gaussian_density(atoms, Grid.around(atoms, 0.4, 2.0))
        for atoms in (molecule(name) for name in ("H2O", "CH4", "NH3", "CO", "N2", "HF"))
    ]
    # Three of the six densities, so that threads push each other's out.
    monkeypatch.setattr(grid_dataset, "_CACHED_BYTES", sum(d.values.nbytes for d in densities) // 2)

    def dataset():
        names = [str(i) for i in range(len(densities))]
        return GridDataset(names, PBE, lambda name: densities[int(name)])

    expected = [fields(batch) for batch in batches(dataset(), count=60)]
    found = [fields(batch) for batch in batches(dataset(), count=60, workers=8)]
    assert_same(found, expected)


@pytest.mark.parametrize(("processes", "structures"), [(1, 1), (1, 2), (2, 1), (3, 2), (1, 4)])
def test_every_epoch_sees_every_structure_once(dataset, processes, structures):
    ranks = [
        batches(dataset, rank=rank, processes=processes, structures=structures)
        for rank in range(processes)
    ]
    n_epochs = 4
    per_step = processes * structures
    seen = [
        index
        for step in range(n_epochs * 6 // per_step)
        for rank in ranks
        for index in rank.structures(step)
    ]
    epochs = [seen[6 * i : 6 * (i + 1)] for i in range(n_epochs)]
    for epoch in epochs:
        assert sorted(epoch) == list(range(6))
    # In a new order every time.
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_more_structures_a_step_than_there_are(dataset):
    chosen = batches(dataset.subset([0, 1]), structures=5).structures(0)
    assert len(chosen) == 5
    assert sorted(chosen[:2]) == sorted(chosen[2:4]) == [0, 1]


def test_a_batch_holds_what_the_dataset_drew(dataset):
    # Rebuilt by hand, structure after structure, with a generator in the same state.
    builder = BatchBuilder(dataset, CUTOFF, AtomicDensityTables.load("pbe-gth-dzvp"))
    batch = builder.build([2, 0], 30, 0.5, np.random.default_rng(5))
    generator = np.random.default_rng(5)
    network = small_network("deepdft", torch.float32)
    predicted = network(batch.graph, batch.edges)
    start = 0
    for number, index in enumerate([2, 0]):
        drawn = dataset.draw(index, 30, generator, cutoff=CUTOFF, importance=0.5)
        own = slice(start, start + len(drawn.points))
        start = own.stop
        assert (batch.structure[own] == number).all()
        np.testing.assert_allclose(batch.target[own], drawn.values, rtol=1e-6)
        np.testing.assert_allclose(batch.weights[own], drawn.weights, rtol=1e-6)
        superposed = SuperposedAtoms(builder.baseline, dataset.atoms(index)).at(drawn.points)
        np.testing.assert_allclose(batch.baseline[own], superposed, rtol=1e-5, atol=1e-7)
        alone = forward(network, dataset.atoms(index), drawn.points)
        torch.testing.assert_close(predicted[own], alone, rtol=0, atol=1e-5)
    assert start == len(batch.target)


def test_no_probe_is_out_of_reach(dataset):
    for step in range(5):
        batch = batches(dataset).batch(step)
        assert batch.edges.in_reach.all()
        assert batch.edges.n_receivers == len(batch.target)


def test_probes_reach_as_far_as_asked_for(dataset):
    builder = BatchBuilder(dataset, CUTOFF, None, reach=5.0)
    generator = np.random.default_rng(0)
    batch = builder.build([0, 1], 400, 0.5, generator)
    away = ~batch.edges.in_reach
    assert 20 < away.sum() < len(away) / 2
    # What is asked of a network there is the density there.
    assert batch.target[away].max() < 1e-2
    generator = np.random.default_rng(0)
    drawn = dataset.draw(0, 400, generator, cutoff=5.0, importance=0.5)
    gap = np.linalg.norm(drawn.points[:, None] - dataset.atoms(0).positions, axis=-1).min(axis=1)
    assert gap.max() < 5.0
    own = away[batch.structure == 0].numpy()
    assert np.array_equal(gap >= CUTOFF, own)


def test_types(dataset):
    batch = batches(dataset).batch(0)
    assert batch.target.dtype == batch.edges.distances.dtype == torch.float32
    assert not batch.baseline.any()
    double = batch.to("cpu", torch.float64)
    assert double.target.dtype == double.graph.edges.distances.dtype == torch.float64
    assert double.structure.dtype == torch.int64
    assert double.edges.senders.dtype == torch.int32


def test_validation_sees_the_same_probes_every_time(dataset):
    builder = BatchBuilder(dataset, CUTOFF, None)
    first, second = (ValidationBatches(builder, 40, seed=1) for _ in range(2))
    assert len(first) == 6
    for index in (4, 0, 4):
        assert_same(fields(first[index]), fields(second[index]))
        assert first[index].graph.numbers.tolist() == dataset.atoms(index).numbers.tolist()
    other = ValidationBatches(builder, 40, seed=2)[4]
    assert not torch.equal(other.edges.distances[:5], first[4].edges.distances[:5])
    with pytest.raises(IndexError):
        first[6]


def test_validation_and_training_draws_differ(dataset):
    validation = ValidationBatches(BatchBuilder(dataset, CUTOFF, None), 20, seed=1)
    drawn = {float(v) for i in range(6) for v in validation[i].target}
    for step in range(6):
        assert not drawn & {float(v) for v in batches(dataset).batch(step).target}


def test_edges_of_a_batch_are_those_of_its_points(dataset):
    builder = BatchBuilder(dataset, CUTOFF, None, torch.float64)
    batch = builder.build([3], 25, 0.0, np.random.default_rng(0))
    drawn = dataset.draw(3, 25, np.random.default_rng(0), cutoff=CUTOFF)
    edges = probe_edges(dataset.atoms(3), drawn.points, CUTOFF)
    assert torch.equal(batch.edges.distances, edges.distances)
    assert torch.equal(batch.edges.senders, edges.senders)


def test_graphs_and_validation_batches_are_kept_as_far_as_there_is_room(dataset, monkeypatch):
    from deepdft.training import batches as module

    builder = BatchBuilder(dataset, 3.0, None)
    expected = [fields(batch) for batch in ValidationBatches(builder, 20, seed=0)]
    assert len(builder._graphs) == len(dataset)
    monkeypatch.setattr(module, "_KEPT_BYTES", builder._kept_bytes // 2)
    builder = BatchBuilder(dataset, 3.0, None)
    found = ValidationBatches(builder, 20, seed=0)
    for _ in range(2):
        assert_same([fields(batch) for batch in found], expected)
    assert 0 < len(builder._graphs) < len(dataset)
    assert sum(module._bytes_of(graph) for graph in builder._graphs.values()) == builder._kept_bytes
    assert found._kept_bytes <= module._KEPT_BYTES
