"""Blocks computed by a dask cluster: real processes on this machine, over the loopback."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import distributed
import numpy as np
import psutil
import pytest
import torch

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.reductions import Reductions
from deepdft.formats import read
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint
from deepdft.prediction.distributed import Cluster, compute_block
from deepdft.prediction.encoded_store import encode_for
from deepdft.prediction.stored_prediction import open_store, predict_to_store
from deepdft.prediction.trained_model import TrainedModel, load_model
from deepdft.testing.networks import small_network
from deepdft.testing.structures import sodium_chloride
from tests.prediction.test_stored_prediction import chunk_files

BLOCK_POINTS = 5000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    # Large enough that a block takes some time.
    network = small_network("deepdft", torch.float32, channels=128, steps=2)
    path = tmp_path_factory.mktemp("model")
    level = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp")
    save_checkpoint(Checkpoint.of_network(network, level, "pbe-gth-dzvp"), path)
    return path


@pytest.fixture(scope="module")
def model(folder) -> TrainedModel:
    found = load_model(folder, "cpu")
    found.threads = 1
    return found


@pytest.fixture(scope="module")
def atoms():
    structure = sodium_chloride()
    structure.numbers[:] = [6, 8] * 4  # what the tables of the baseline know
    structure.rattle(0.1, seed=1)
    return structure


@pytest.fixture(scope="module")
def grid(atoms) -> Grid:
    return Grid(np.asarray(atoms.cell), (64, 64, 56))


@pytest.fixture(scope="module")
def alone(model, atoms, grid, tmp_path_factory):
    """What one process makes of it."""
    path = tmp_path_factory.mktemp("alone") / "rho.zarr"
    predict_to_store(atoms, path, model, grid, block_points=BLOCK_POINTS)
    return read(path).values


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A part of dask as a process of its own; ended with the block."""
    started = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield started
    finally:
        started.kill()
        started.wait()


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a running scheduler."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file]
    with process("distributed.cli.dask_scheduler", *map(str, options)):
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text().strip():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            address = client.scheduler.address
        assert address.startswith("tcp://127.0.0.1:")
        yield address


def worker(address: str) -> AbstractContextManager[object]:
    options = ["--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--no-dashboard"]
    return process("distributed.cli.dask_worker", address, *options)


def reads_states(pid: int) -> bool:
    """Whether a process has mapped encoded atoms, which it does when it gets its first block."""
    return any("atom_states" in file.path for file in psutil.Process(pid).memory_maps())


def test_a_killed_worker_costs_only_its_block(scheduler, model, atoms, grid, alone, tmp_path):
    path = tmp_path / "rho.zarr"
    killed_at: list[int] = []
    before: dict[object, object] = {}
    done: list[int] = []
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(scheduler)) for _ in range(2)]
        with distributed.Client(scheduler, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=60)
            # Both import now, so that both are at work from the first block on.
            client.run(lambda: bool(importlib.import_module("deepdft.prediction.distributed")))

        def progress(points: int) -> None:
            done.append(points)
            if not killed_at and len(done) >= 4 and all(reads_states(w.pid) for w in workers):
                workers[0].send_signal(signal.SIGKILL)
                workers[0].wait()
                before.update(chunk_files(path))
                killed_at.append(len(done))

        summary = predict_to_store(
            atoms, path, model, grid, block_points=BLOCK_POINTS, progress=progress,
            cluster=Cluster(scheduler=scheduler),
        )  # fmt: skip
        assert workers[0].returncode == -signal.SIGKILL
        assert workers[1].poll() is None
    assert killed_at
    assert killed_at[0] <= summary.blocks - 4
    assert summary.blocks_computed == summary.blocks == len(done)
    assert sum(done) == grid.n_points
    assert np.array_equal(read(path).values, alone)
    after = chunk_files(path)
    assert len(after) == summary.blocks
    # What was there when the worker died was not written again.
    assert {file: after[file] for file in before} == before
    assert len(before) >= killed_at[0]


@pytest.mark.parametrize("by", ["--workers", "--scheduler"])
def test_the_command_line(by, scheduler, folder, model, atoms, grid, alone, tmp_path):
    atoms.write(tmp_path / "atoms.traj")
    arguments = [
        "predict", "atoms.traj", "-m", str(folder), "-o", "rho.zarr", "--device", "cpu",
        "--grid", *map(str, grid.shape), "--threads", "2",
    ]  # fmt: skip
    arguments += [by, "2" if by == "--workers" else scheduler]
    # Begun with the blocks of the other test; the command goes on with them.
    open_store(atoms, tmp_path / "rho.zarr", model, grid, BLOCK_POINTS)
    with worker(scheduler) if by == "--scheduler" else nullcontext():
        found = subprocess.run(
            [sys.executable, "-m", "deepdft", *arguments],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "blocks were missing" in found.stdout
    assert np.array_equal(read(tmp_path / "rho.zarr").values, alone)


def test_clusters_that_cannot_be_used(scheduler, model, atoms, grid, tmp_path):
    with pytest.raises(ConfigurationError, match="either"):
        Cluster()
    with pytest.raises(ConfigurationError, match="either"):
        Cluster(scheduler="a", workers=1)
    with pytest.raises(ConfigurationError, match="at least one"):
        Cluster(workers=0)
    absent = Cluster(scheduler="tcp://127.0.0.1:1", patience=0.5)
    with pytest.raises(ConfigurationError, match="No dask scheduler"):
        predict_to_store(atoms, tmp_path / "rho.zarr", model, grid, cluster=absent)
    empty = Cluster(scheduler=scheduler, patience=0.5)
    with pytest.raises(ConfigurationError, match="no workers"):
        predict_to_store(atoms, tmp_path / "rho.zarr", model, grid, cluster=empty)
    # Nothing is lost by it: the same store is filled here.
    assert predict_to_store(atoms, tmp_path / "rho.zarr", model, grid).blocks_computed > 0


def test_a_worker_refuses_what_is_not_the_store_it_was_sent_to(model, atoms, grid, tmp_path):
    with pytest.raises(ConfigurationError, match="file system that all workers share"):
        compute_block(
            str(tmp_path / "absent.zarr"), "x", 0, properties=Reductions(), threads=1, device="cpu"
        )
    store = open_store(atoms, tmp_path / "rho.zarr", model, grid)
    with pytest.raises(ConfigurationError, match="share"):
        compute_block(str(store.path), "x", 0, properties=Reductions(), threads=1, device="cpu")
    encode_for(store, model)
    importlib.import_module("deepdft.prediction.distributed")._write_model(store, model)
    with pytest.raises(ConfigurationError, match="replaced"):
        compute_block(str(store.path), "x", 0, properties=Reductions(), threads=1, device="cpu")
