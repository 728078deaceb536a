"""A run of two CPU processes by Lightning's DDP."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from deepdft.cli import main
from deepdft.first_process import LOST
from deepdft.prediction.trained_model import load_model
from deepdft.training.module import RunEndedError
from deepdft.training.processes import SeveralProcesses, _noted_signals
from tests.training.small_runs import UNCHANGING, directory_of, read_state, small_config

SCRIPT = """
import json, os, sys
import torch
from deepdft.training.config import read_config
from deepdft.training import module, train
from deepdft.training.batches import TrainingBatches

record = []
batch = TrainingBatches.batch

def recorded(self, step):
    drawn = batch(self, step)
    record.append([step, self.structures(step), float(drawn.target.sum())])
    return drawn

TrainingBatches.batch = recorded
networks = []
setup = module.DensityTraining.__init__

def remembered(self, network, *rest):
    setup(self, network, *rest)
    networks.append(self)

module.DensityTraining.__init__ = remembered

if __name__ == "__main__":
    config = read_config(sys.argv[1])
    start = sys.argv[sys.argv.index("--from") + 1] if "--from" in sys.argv else None
    result = train(config, start_from=start, resume="--resume" in sys.argv)
    training = networks[0]
    weights = [float(p.double().sum()) for p in training.model.parameters()]
    averages = [float(p.double().sum()) for p in training.averaged.parameters()]
    rank = os.environ.get("LOCAL_RANK", "0")
    with open(f"{sys.argv[2]}/rank_{rank}.json", "w") as file:
        json.dump({"record": record, "weights": weights, "averages": averages,
                   "eps_mae": result.eps_mae, "steps": result.steps}, file)
"""


def run(tmp_path, config, *arguments):
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    result = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "config.yaml"), str(tmp_path),
         *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=tmp_path, timeout=300, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    return [json.loads((tmp_path / f"rank_{rank}.json").read_text()) for rank in (0, 1)]


def test_two_processes(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, sampling={"structures": 1},
        trainer={"devices": 2, "max_steps": 4, "validation_interval": 2},
    )  # fmt: skip
    first, second = run(tmp_path, config)
    assert first["steps"] == second["steps"] == 4
    assert first["eps_mae"] == second["eps_mae"]
    assert [entry[0] for entry in first["record"]] == [0, 1, 2, 3]
    assert [entry[0] for entry in second["record"]] == [0, 1, 2, 3]
    # Between them the two see every structure once an epoch of four, and never the same points.
    for epoch in (slice(0, 2), slice(2, 4)):
        seen = [i for rank in (first, second) for entry in rank["record"][epoch] for i in entry[1]]
        assert sorted(seen) == [0, 1, 2, 3]
    assert not {e[2] for e in first["record"]} & {e[2] for e in second["record"]}
    # Gradients are averaged, so the weights stay the same.
    assert first["weights"] == second["weights"]
    assert first["averages"] == second["averages"]
    assert np.isfinite(first["weights"]).all()
    assert np.isfinite(first["eps_mae"])
    assert read_state(tmp_path / "run")["global_step"] == 4
    assert load_model(tmp_path / "run").card["validation"]["step"] in (2, 4)


def test_two_processes_fine_tune(finished, archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, sampling={"structures": 1}, seed=5,
        optimizer=UNCHANGING,
        trainer={"devices": 2, "max_steps": 2, "validation_interval": 2},
    )  # fmt: skip
    start = directory_of(finished[0])
    first, second = run(tmp_path, config, "--from", str(start))
    # Both begin with the same weights, which such a step leaves as they were.
    averaged = load_model(start).network.parameters()
    assert first["weights"] == second["weights"]
    assert first["weights"] == [float(p.double().sum()) for p in averaged]
    assert first["steps"] == second["steps"] == 2
    card = load_model(tmp_path / "run").card
    assert card["training"]["started_from"]["model"] == str(start)


@pytest.mark.parametrize(("rank", "said"), [("0", "it ended"), ("1", "")])
def test_the_first_process_tells_why_a_run_ended(tmp_path, monkeypatch, capsys, rank, said):
    def ended(*arguments, **options):
        raise RunEndedError("it ended")

    (tmp_path / "config.yaml").write_text("")
    monkeypatch.setattr("deepdft.training.train", ended)
    monkeypatch.setattr(sys, "argv", ["deepdft", "train", str(tmp_path / "config.yaml")])
    monkeypatch.setenv("LOCAL_RANK", rank)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert bool(captured.out + captured.err) == bool(said)


LOSES = """
import atexit, os, signal, sys
import deepdft.training
from deepdft.cli import main
from deepdft.training.processes import LostProcessError

def train(*arguments, **options):
    raise LostProcessError(TOLD)

deepdft.training.train = train
atexit.register(os.abort)  # as torch may, which shares something with the lost process
sys.argv = ["deepdft", "train", "config.yaml"]
main()
"""


@pytest.mark.parametrize(
    ("told", "code", "said"),
    [("0", 2, LOST), ("signal.SIGINT", 130, "interrupted"), ("signal.SIGTERM", 143, "terminated")],
)
def test_a_loss_ends_with_its_exit_code_whatever_libraries_do(tmp_path, told, code, said):
    (tmp_path / "config.yaml").write_text("")
    done = subprocess.run(
        [sys.executable, "-c", LOSES.replace("TOLD", told)], cwd=tmp_path, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (code, f"deepdft: {said}\n")


def test_signals_are_noted_while_compiled_code_waits():
    handled = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: handled.set())
    seen = []

    def tell_and_look():
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.1)
        seen.append((told(), handled.is_set()))

    try:
        with _noted_signals() as told:
            assert told() == 0
            other = threading.Thread(target=tell_and_look)
            other.start()
            while not seen:  # compiled code, a second at a time
                hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000)
            other.join()
        assert seen == [(signal.SIGTERM, False)]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_descriptors_processes_do_not_wait_for_each_other():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, before[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            SeveralProcesses().setup_environment()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == free


LACKS = """
import os, resource, time
from pytorch_lightning.strategies import DDPStrategy
from deepdft.training import processes

def waits(self):
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + LEFT, hard))
    time.sleep(SECONDS)

DDPStrategy.setup_environment = waits
processes._LOOK = processes._PATIENCE = 0.05
processes.SeveralProcesses().setup_environment()
"""


@pytest.mark.parametrize(("left", "seconds", "code"), [(0, 100, 2), (2, 100, 2), (20, 0.5, 0)])
def test_a_process_that_runs_out_of_descriptors_does_not_wait_for_others(left, seconds, code):
    pytest.importorskip("resource")
    script = LACKS.replace("LEFT", str(left)).replace("SECONDS", str(seconds))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=90
    )
    assert done.returncode == code
    assert ("too many files open; raise the limit" in done.stderr) == bool(code)


@pytest.mark.thorough
def test_a_process_that_is_killed_while_it_imports_ends_the_run(archive, tmp_path):
    config = small_config(
        tmp_path / "run", archive, sampling={"structures": 1},
        trainer={"devices": 2, "max_steps": 4, "validation_interval": 2},
    )  # fmt: skip
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    with subprocess.Popen(
        [sys.executable, "-m", "deepdft", "train", "config.yaml"], cwd=tmp_path, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    ) as first:  # fmt: skip
        found = psutil.Process(first.pid)
        end = time.monotonic() + 200
        while not (others := found.children()) and first.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.01)
        others[0].kill()
        _, error = first.communicate(timeout=200)
    assert first.returncode == 2
    assert error == f"deepdft: {LOST}\n"
