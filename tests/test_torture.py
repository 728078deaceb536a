"""A short piece of `make torture` and of `python -m torture.leaks`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from random import Random

import pytest

pytest.importorskip("resource", reason="limits of processes are a matter of Unix")

from torture.cases import Chgcar, Convert, Cube, Processes, Store, Train
from torture.faults import ONE_PROCESS, REFUSALS, SIGNALS
from torture.inputs import make_inputs
from torture.leaks import growth
from torture.page import Page
from torture.processes import Running, import_everything
from torture.rounds import Bench


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    import_everything()
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


def held(case, inputs, folder, faults, seed):
    bench = Bench(case(inputs), folder)
    random = Random(seed)
    outcomes = [bench.inject(fault, random) for fault in faults]
    assert [(each.fault, each.problems) for each in outcomes if each.problems] == []
    assert not any(each.lost for each in outcomes)
    return outcomes


def test_a_prediction_is_killed_ended_and_refused(inputs, tmp_path):
    outcomes = held(Cube, inputs, tmp_path, ("kill", "SIGTERM", "Ctrl-C", "read-only"), 5)
    assert outcomes[-1].hit


@pytest.mark.thorough
@pytest.mark.parametrize("case", [Train, Chgcar, Store, Convert])
def test_other_commands(case, inputs, tmp_path):
    held(case, inputs, tmp_path, 2 * (*SIGNALS, *REFUSALS), 6)


@pytest.mark.thorough
def test_one_process_of_a_training(inputs, tmp_path):
    held(Processes, inputs, tmp_path, 2 * (ONE_PROCESS,), 7)


@pytest.mark.thorough
def test_the_page_s_server(inputs, tmp_path):
    pytest.importorskip("fastapi", reason="the extra web is not installed")
    held(Page, inputs, tmp_path, ("kill", "SIGTERM", "Ctrl-C"), 8)


def test_the_torture_sees_what_is_broken(inputs, tmp_path):
    class Broken(Cube):
        def ours(self, folder):
            return super().ours(folder) | ({"stray"} if folder.name == "tried" else set())

        def result(self, folder):
            return {**super().result(folder), "of": folder.name}

    bench = Bench(Broken(inputs), tmp_path)
    outcome = bench.inject("no locks", Random(1))
    assert outcome.lost
    assert any("stray files" in problem for problem in outcome.problems)


def test_a_leak_is_seen():
    kept = []
    # Above 32 MiB the C library asks the system for memory of its own; less may come from what
    # this process has freed before, which is resident already.
    leak = growth("leak", 4, lambda number: kept.append(bytearray(b"1") * (33 << 20)))
    assert leak.leaks
    assert not growth("none", 10, lambda number: None).leaks


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_the_page_s_server_ends_with_a_line(tmp_path, number, code):
    pytest.importorskip("fastapi", reason="the extra web is not installed")
    folder = tmp_path / "served"
    folder.mkdir()
    running = Running(["serve", "--no-browser", "--port", "0"], folder, fresh=True)
    end = time.monotonic() + 240
    while "Ctrl-C" not in running.printed() and time.monotonic() < end:
        time.sleep(0.1)
    running.tell(number)
    ended = running.end(120)
    assert ended.code == code
    assert len(ended.lines) == 1


@pytest.mark.thorough
def test_nothing_leaks(tmp_path):
    pytest.importorskip("fastapi", reason="the extra web is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "torture.leaks", "--predictions", "50", "--loads", "20",
         "--requests", "50"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
