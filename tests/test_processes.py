"""Work shared out among processes of this machine, some of which die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from functools import partial

import psutil
import pytest
import torch

from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.failures import RefusedBySystemError
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint
from deepdft.processes import shared_out
from deepdft.testing.networks import small_network
from tests.processes_tasks import DEADLY, died, raised, slept, squared, squared_until


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    found = []
    for each in process.children():
        with suppress(psutil.Error):  # it has ended
            found += [each] if "deepdft.processes" in str(each.cmdline()) else []
    return found


def no_children() -> bool:
    return not workers_of(psutil.Process())


@pytest.mark.parametrize("workers", [1, 3])
def test_every_item_has_its_result(workers):
    done = list(shared_out(squared, range(7), workers))
    assert sorted(done) == [(number, number**2) for number in range(7)]
    assert no_children()


def test_what_a_killed_process_was_at_is_done_by_another(tmp_path):
    # One process: it has done others before.
    done = dict(shared_out(partial(squared_until, tmp_path, False), range(8), 1))
    assert done == {number: number**2 for number in range(8)}
    by = {path.name.split()[2] for path in tmp_path.glob("of *")}
    assert len(by) == 2
    assert len(list(tmp_path.glob("of *"))) == 9


def test_what_two_processes_die_of_is_given_up(tmp_path):
    done = shared_out(partial(squared_until, tmp_path, True), range(8), 1)
    assert [next(done)[0] for _ in range(DEADLY)] == list(range(DEADLY))
    with pytest.raises(RefusedBySystemError, match=r"signal 9 \(SIGKILL\); too little memory"):
        next(done)
    assert no_children()


def test_a_process_that_dies_at_once_ends_all():
    began = time.monotonic()
    words = r"ended with exit code 3 \(no memory for a stack\)"
    with pytest.raises(RefusedBySystemError, match=words) as told:
        list(shared_out(died, range(100), 2))
    assert "fewer workers" in str(told.value)
    assert time.monotonic() - began < 60
    assert no_children()


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (UnsupportedStructureError("no model for it."), UnsupportedStructureError, "no model"),
        (MemoryError(), RefusedBySystemError, "worker failed. There is not enough memory"),
        (OSError(28, "no space"), RefusedBySystemError, "No space is left"),
        (KeyError("defect"), ConfigurationError, "worker failed: KeyError: 'defect'"),
    ],
)
def test_errors_come_as_sentences(error, kind, words):
    with pytest.raises(kind, match=words):
        list(shared_out(partial(raised, error), range(3), 1))
    assert no_children()


def test_processes_end_with_whoever_wants_no_more():
    found = shared_out(slept, [0, 1], 1)
    assert next(found) == (0, 0)
    began = time.monotonic()
    found.close()
    assert time.monotonic() - began < 30
    assert no_children()


@pytest.fixture
def command(tmp_path):
    network = small_network("deepdft", torch.float32)
    level = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp")
    save_checkpoint(Checkpoint.of_network(network, level, None), tmp_path / "model")
    return [
        sys.executable, "-m", "deepdft", "predict", "C", "-m", "model", "-o", "rho.zarr",
        "--grid", "100", "100", "100", "--device", "cpu", "--workers", "2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "whom", ["a worker", pytest.param("the first", marks=pytest.mark.thorough)]
)
def test_the_command_tells_of_a_dead_worker_and_leaves_none(whom, command, tmp_path):
    process = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    first = psutil.Process(process.pid)
    end = time.monotonic() + 120
    while len(workers := workers_of(first)) < 2 and process.poll() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    (workers[0] if whom == "a worker" else first).kill()
    _, error = process.communicate(timeout=60)
    if whom == "a worker":
        assert process.returncode == 2
        (line,) = error.splitlines()
        assert line.startswith("deepdft: A worker was killed by signal 9 (SIGKILL); too little")
    assert not psutil.wait_procs(workers, timeout=30)[1]
    # What was done is kept.
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("megabytes", [650, 750, 900, 1200])
def test_with_too_little_memory_the_command_ends(megabytes, command, tmp_path):
    resource = pytest.importorskip("resource", reason="limits are a matter of Unix")

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20,) * 2)

    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
        preexec_fn=limited, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    if done.returncode > 0:
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert "memory" in line
    # Libraries may end the first process before Python can say anything.
    assert done.returncode in (0, 2, -signal.SIGSEGV, -signal.SIGABRT)
    again = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
