"""Training runs that are killed or end, and go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.failures import ending_of
from deepdft.training import TrainingStopped, train
from deepdft.training.ending import EndWhenTold
from deepdft.training.trainer import STATE
from tests.training.small_runs import (
    Killed,
    assert_same,
    assert_same_run,
    directory_of,
    read_state,
    small_config,
)

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


SCRIPT = """
import os, signal, sys
from deepdft.training.config import read_config
from deepdft.training import train
from deepdft.training.callbacks import StepBookkeeping

def on_train_batch_end(self, trainer, *rest):
    if trainer.global_step == 5:
        os.kill(os.getpid(), signal.SIGKILL)

StepBookkeeping.on_train_batch_end = on_train_batch_end
train(read_config(sys.argv[1]))
"""


def test_n_and_n_steps_give_the_weights_of_2n(finished, archive, tmp_path, kill_at):
    config, _ = finished
    again = small_config(tmp_path / "run", archive)
    # In the middle of the third stretch between validations; the state is that of step 6.
    kill_at(8)
    with pytest.raises(Killed):
        train(again)
    assert read_state(tmp_path / "run")["global_step"] == 6
    kill_at(None)
    result = train(again, resume=True)
    assert result.steps == 9
    assert result.eps_mae == finished[1].eps_mae
    assert_same_run(tmp_path / "run", directory_of(config))


def test_threads_that_draw_ahead_change_nothing(finished, archive, tmp_path, kill_at):
    ahead = small_config(tmp_path / "run", archive, trainer={"workers": 2})
    kill_at(8)
    with pytest.raises(Killed):
        train(ahead)
    kill_at(None)
    train(ahead, resume=True)
    assert_same_run(tmp_path / "run", directory_of(finished[0]))


def test_different_seeds_give_different_runs(finished, archive, tmp_path):
    # Otherwise the comparison above could not fail.
    config = small_config(tmp_path / "run", archive, seed=4)
    train(config)
    found, expected = read_state(tmp_path / "run"), read_state(directory_of(finished[0]))
    name = "model.probe_W1.weight"
    assert not torch.equal(found["state_dict"][name], expected["state_dict"][name])


def test_a_run_killed_by_the_system_is_resumed(finished, archive, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    config = small_config(tmp_path / "run", archive)
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    killed = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "config.yaml")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240, check=False, capture_output=True,
    )  # fmt: skip
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert read_state(tmp_path / "run")["global_step"] == 3
    train(config, resume=True)
    assert_same_run(tmp_path / "run", directory_of(finished[0]))


def test_a_kill_while_the_state_is_written_leaves_a_valid_one(
    finished, archive, tmp_path, monkeypatch
):
    config = small_config(tmp_path / "run", archive)
    write = Path.write_bytes
    calls = []

    def fail_the_second_time(path, content):
        calls.append(path)
        if len(calls) == 2:
            write(path, b"half of a state")
            raise Killed
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fail_the_second_time)
    with pytest.raises(Killed):
        train(config)
    monkeypatch.undo()
    assert len(calls) == 2
    assert read_state(tmp_path / "run")["global_step"] == 3
    assert not list((tmp_path / "run").glob(f".{STATE}*"))
    train(config, resume=True)
    assert_same_run(tmp_path / "run", directory_of(finished[0]))


@pytest.mark.parametrize(
    ("hook", "step", "number"),
    [
        ("on_train_batch_end", 2, signal.SIGTERM),
        ("on_train_batch_end", 6, signal.SIGINT),
        ("on_validation_batch_end", 3, signal.SIGTERM),
    ],
)
def test_a_run_that_is_told_to_end_saves_its_state(
    finished, archive, tmp_path, monkeypatch, hook, step, number
):
    told = []

    def tell(self, trainer, *arguments, **options):
        if trainer.global_step == step and not told:
            told.append(step)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(EndWhenTold, hook, tell, raising=False)
    handlers = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    config = small_config(tmp_path / "run", archive)
    with pytest.raises(TrainingStopped) as stopped:
        train(config)
    assert ending_of(stopped.value)[1] == 128 + number
    assert stopped.value.resumable
    assert stopped.value.result.steps == read_state(tmp_path / "run")["global_step"] == step
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == handlers
    train(config, resume=True)
    assert_same_run(tmp_path / "run", directory_of(finished[0]))


def test_a_longer_run_goes_on_from_a_finished_one(archive, tmp_path):
    # Also where the first run ended between two validations.
    constant = {"schedule": "constant"}
    short = small_config(tmp_path / "run", archive, optimizer=constant, trainer={"max_steps": 4})
    assert train(short).steps == 4
    longer = small_config(tmp_path / "run", archive, optimizer=constant)
    assert train(longer, resume=True).steps == 9
    whole = small_config(tmp_path / "whole", archive, optimizer=constant)
    train(whole)
    found, expected = read_state(tmp_path / "run"), read_state(tmp_path / "whole")
    assert_same(found["state_dict"], expected["state_dict"])


def test_resuming_a_finished_run_changes_nothing(archive, tmp_path):
    config = small_config(tmp_path / "run", archive, trainer={"max_steps": 3})
    first = train(config)
    before = read_state(tmp_path / "run")
    again = train(config, resume=True)
    assert (again.steps, again.eps_mae) == (first.steps, first.eps_mae)
    assert_same(read_state(tmp_path / "run")["state_dict"], before["state_dict"])


def test_there_has_to_be_something_to_resume(archive, tmp_path):
    with pytest.raises(ConfigurationError, match="nothing to resume"):
        train(small_config(tmp_path / "run", archive), resume=True)
    assert not (tmp_path / "run").exists()


def test_a_fresh_start_does_not_overwrite_a_run(finished):
    config, _ = finished
    before = (directory_of(config) / STATE).read_bytes()
    with pytest.raises(ConfigurationError, match="already holds a run; pass --resume"):
        train(config)
    assert (directory_of(config) / STATE).read_bytes() == before


def test_another_network_cannot_go_on_with_a_run(archive, tmp_path):
    train(small_config(tmp_path / "run", archive, trainer={"max_steps": 3}))
    other = {"options": {"steps": 2, "channels": 5}}
    with pytest.raises(ConfigurationError, match=r"cannot go on with model\.options\.channels 5"):
        train(small_config(tmp_path / "run", archive, model=other), resume=True)
    # Also where the configuration of the run is not there to compare with.
    (tmp_path / "run" / "config.yaml").unlink()
    with pytest.raises(ConfigurationError, match="it cannot go on as deepdft"):
        train(small_config(tmp_path / "run", archive, model=other), resume=True)
    (tmp_path / "run" / STATE).write_bytes(b"damaged")
    with pytest.raises(FileFormatError, match="damaged"):
        train(small_config(tmp_path / "run", archive), resume=True)
