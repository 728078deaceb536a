"""A training store whose writer is killed keeps every entry that was finished."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time

import numpy as np
import pytest
from ase import Atoms

from deepdft.data.training_store import TrainingStore
from deepdft.data.training_store_layout import is_training_store
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density, Grid
from tests.data.small_stores import assert_same
from tests.small_data import PBE


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
    writer = TrainingStoreWriter(path)
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
    count = len(TrainingStore(survived))
    assert count == (4 if interrupted_call == 9 else 3)
    with TrainingStoreWriter(survived) as again:
        assert len(again) == count
        for number in range(count, 7):
            again.append(str(number), numbered(number))
    store = TrainingStore(survived)
    assert store.names == [str(number) for number in range(7)]
    for number in range(7):
        assert_same(store.density(number), numbered(number))


def _write_forever(path):
    with TrainingStoreWriter(path) as writer:
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
            if is_training_store(path) and len(TrainingStore(path)) > reached + 5:
                break
            time.sleep(0.01)
        time.sleep(0.02 * generator.random())
        before = len(TrainingStore(path))
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        store = TrainingStore(path)
        assert len(store) >= before > reached
        reached = len(store)
    assert store.names == [str(number) for number in range(reached)]
    for number in range(reached):
        assert_same(store.density(number), numbered(number))


def test_entries_that_never_reached_the_disk_are_dropped(tmp_path):
    path = tmp_path / "a.store"
    with TrainingStoreWriter(path) as writer:
        for number in range(5):
            writer.append(str(number), numbered(number))
    group = json.loads((path / "zarr.json").read_text())
    group["attributes"]["synced"] = 2
    (path / "zarr.json").write_text(json.dumps(group))
    entry = TrainingStore(path).entry(3)
    with (path / "density" / "c" / "0").open("r+b") as file:
        file.seek(4 * entry.point + 400)
        file.write(bytes(100))
    with TrainingStoreWriter(path) as writer:
        assert writer.names == ["0", "1", "2"]
        writer.append("3", numbered(3))
    assert_same(TrainingStore(path).density(3), numbered(3))
