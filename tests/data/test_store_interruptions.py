"""A training store whose writer is killed keeps every entry that was finished."""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.data.training_store import TrainingStore
from deepdft.data.training_store_layout import ARRAYS, is_training_store
from deepdft.data.training_store_writer import TrainingStoreWriter
from deepdft.density import Density, Grid
from deepdft.storage.mapped_file import map_file
from tests.data.small_stores import assert_same
from tests.small_data import PBE


class _PowerCut(BaseException):
    pass


def numbered(number: int) -> Density:
    atoms = Atoms("CO"[: 1 + number % 2], 0.5 * number + np.eye(3)[: 1 + number % 2])
    grid = Grid(np.eye(3) * 5, (6 + number % 5, 14, 15))
    values = np.random.default_rng(number).random(grid.shape)
    return Density(atoms, grid, values, values - 0.5 if number % 3 == 0 else None, PBE)


def small_chunks(monkeypatch):
    """Let arrays lie in many small files, so that descriptions change with almost every entry."""
    for name, (dtype, row_shape, _) in ARRAYS.items():
        monkeypatch.setitem(ARRAYS, name, (dtype, row_shape, 4096))


@pytest.mark.parametrize("interrupted_call", range(10))
def test_an_interruption_at_any_step_of_an_entry_loses_that_entry_alone(
    tmp_path, monkeypatch, interrupted_call
):
    small_chunks(monkeypatch)
    path = tmp_path / "a.store"
    writer = TrainingStoreWriter(path)
    for number in range(3):
        writer.append(str(number), numbered(number))
    real, done = os.replace, []

    def replace_or_die(*arguments):
        if len(done) == interrupted_call:
            raise _PowerCut
        real(*arguments)
        done.append(os.fspath(arguments[1]))

    monkeypatch.setattr(os, "replace", replace_or_die)
    with pytest.raises(_PowerCut):  # noqa: PT012 - which of the two it hits is the point
        for number in range(3, 9):
            writer.append(str(number), numbered(number))
    monkeypatch.setattr(os, "replace", real)
    survived = shutil.copytree(path, tmp_path / "b.store")  # the dead writer still has its lock
    count = len(TrainingStore(survived))
    assert count == 3 + done.count(str(path / "zarr.json"))
    with TrainingStoreWriter(survived) as again:
        assert len(again) == count
        for number in range(count, 9):
            again.append(str(number), numbered(number))
    store = TrainingStore(survived)
    assert store.names == [str(number) for number in range(9)]
    for number in range(9):
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


@pytest.mark.parametrize("cut", [0, 100])
def test_a_description_that_never_reached_the_disk(tmp_path, cut):
    path = tmp_path / "a.store"
    with TrainingStoreWriter(path) as writer:
        for number in range(3):
            writer.append(str(number), numbered(number))
    whole = (path / "zarr.json").read_bytes()
    (path / "zarr.json").write_bytes(whole[:cut])
    with TrainingStoreWriter(path) as writer:
        assert writer.names == ["0", "1", "2"]
        writer.append("3", numbered(3))
    store = TrainingStore(path)
    for number in range(4):
        assert_same(store.density(number), numbered(number))


_OPEN_ALL = """
import resource, sys
import numpy as np
from deepdft.data.training_store import TrainingStore

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
stores = [TrainingStore(sys.argv[1]) for _ in range(3)]  # training and validation parts, say
generator = np.random.default_rng(0)
for store in stores:
    ends = [np.array([0, store.entry(i).n_points - 1]) for i in range(len(store))]
    found = [store.values(i).take(places) for i, places in enumerate(ends)]
    numbers = [store.atoms(i).numbers for i in range(len(store))]
print(len(store), len(np.unique(np.concatenate(found))))
"""


def test_more_chunks_than_a_process_may_have_files_open(tmp_path, monkeypatch):
    small_chunks(monkeypatch)
    path = tmp_path / "a.store"
    count, points = 80, 17 * 1024
    with TrainingStoreWriter(path) as writer:
        for number in range(count):
            values = np.arange(number, number + points, dtype=float).reshape(17, 32, 32)
            grid = Grid(np.eye(3), values.shape)
            writer.append(str(number), Density(Atoms("H"), grid, values, level=PBE))
    assert len(list((path / "density" / "c").iterdir())) == count * 17 > 1024
    result = subprocess.run(
        [sys.executable, "-c", _OPEN_ALL, path], capture_output=True, text=True, check=True
    )
    assert result.stdout.split() == [str(count), str(2 * count)]


def test_files_are_mapped_without_keeping_them_open(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    before = set(os.listdir("/proc/self/fd"))
    mapped = map_file(path, 90)
    assert set(os.listdir("/proc/self/fd")) == before
    view = mapped[10:20].view(np.uint16)
    del mapped
    gc.collect()
    assert view.tobytes() == bytes(range(10, 20))
    assert str(path) in Path("/proc/self/maps").read_text()
    del view
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()
    with pytest.raises(ValueError, match="read-only"):
        map_file(path, 100)[0] = 1
    with pytest.raises(ValueError, match="shorter than 101"):
        map_file(path, 101)


def test_a_store_that_an_earlier_version_left_when_it_was_killed(tmp_path):
    with tarfile.open(Path(__file__).with_name("training_store_1.tar.xz")) as archive:
        # Python 3.11 has filters from 3.11.4 on.
        filters = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **filters)
    path = tmp_path / "training_store_1"
    for count in (4, 5):
        store = TrainingStore(path)
        assert store.names == [str(number) for number in range(count)]
        assert store.elements() == [6, 8]
        for number in range(count):
            assert_same(store.density(number), numbered(number))
        with TrainingStoreWriter(path) as writer:
            writer.append(str(count), numbered(count))


def test_a_store_whose_writer_was_killed_holds_no_elements_but_those_of_its_entries(tmp_path):
    path = tmp_path / "a.store"
    writer = TrainingStoreWriter(path)
    writer.append("0", numbered(0))
    store = TrainingStore(path)
    # Rows are counted in whole chunks until the writer ends.
    assert store._arrays["numbers"].rows > len(store.atoms(0))
    assert store.elements() == [6]
    writer.close()
    assert TrainingStore(path)._arrays["numbers"].rows == 1
