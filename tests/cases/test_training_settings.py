"""Trainings: what is given counts, and of several processes one speaks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from deepdft.models.folder import read_description
from deepdft.training.config import read_config
from tests.small_data import write_archive

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = Path(__file__).with_name("training.yaml")


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the configuration, and small molecules in `w1`."""
    shutil.copy(CONFIG, tmp_path / "c.yaml")
    (tmp_path / "w1").mkdir()
    write_archive(tmp_path / "w1" / "six.npz", ["CO", "CO", "CO", "CO", "CO", "CO"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


SMALL = ("model.options={steps: 1, channels: 4}", "sampling.probes=20")


def learning_rates(here):
    state = torch.load(here / "r1" / "trainer_state.ckpt", weights_only=True)
    (group,) = state["optimizer_states"][0]["param_groups"]
    return group["lr"], group["initial_lr"]


def test_the_learning_rate_of_a_resumed_run(run, here):
    assert run("train", "c.yaml", *SMALL).code == 0
    changed = ("optimizer.learning_rate=5e-2", "trainer.max_steps=50")
    result = run("train", "c.yaml", *SMALL, *changed, "--resume")
    assert result.code == 0
    assert "from step 20 on: optimizer.learning_rate 0.05 (before: 0.0001)" in result.output
    assert learning_rates(here) == (pytest.approx(0.05 * 51 / 101), 0.05)
    assert read_config(here / "r1" / "config.yaml").optimizer.learning_rate == 0.05
    card = read_description(here / "r1" / "best")["card"]
    if card["validation"]["step"] > 20:
        assert card["training"]["changes"][0]["step"] == 20
    for other in ("seed=1", "optimizer.loss=eps_mae", "data.paths=[w2/]"):
        result = run("train", "c.yaml", *SMALL, other, "--resume")
        assert result.code == 2
        assert f"cannot go on with {other.partition('=')[0]}" in result.error


def test_an_explicit_default_is_not_ignored(run, here):
    for given in ("model.architecture=deepdft", "model.baseline=none"):
        result = run("train", "c.yaml", given, "--from", "default")
        assert result.code == 2
        assert f"was trained with {given.partition('=')[0]}" in result.error
    assert not (here / "r1").exists()
    options = "model.options={scalars: 8, tensors: 4, degree: 1, fields: [4, 4], hidden: 8}"
    assert run("train", "c.yaml", "model.architecture=equivariant", options).code == 0
    result = run("train", "c.yaml", "model.architecture=deepdft", "--resume")
    assert result.code == 2
    assert "model.architecture 'deepdft' (so far 'equivariant')" in result.error


def test_two_processes_speak_once(here):
    program = here / "program.py"
    program.write_text("from deepdft.cli import main\n\nmain()\n")
    result = subprocess.run(
        [sys.executable, str(program), "train", "c.yaml", "trainer.devices=2", *SMALL],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, cwd=here, timeout=300, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    assert (result.stdout + result.stderr).count("best model: ") == 1
    assert "nan %" not in result.stdout
