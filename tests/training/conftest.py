"""Data for training runs, a finished one, and a way to end one early."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdft.training import train
from deepdft.training.callbacks import StepBookkeeping
from tests.small_data import write_archive
from tests.training.small_runs import Killed, small_config


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small molecules, and a split beside them: four to train on, two to validate on."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "split.json").write_text('{"train": [10, 11, 12, 13], "validation": [14, 15]}')
    return write_archive(folder / "six.npz", ["H2O", "CO", "CH4", "H2O", "CO", "CH4"])


@pytest.fixture(scope="session")
def finished(archive, tmp_path_factory):
    """A run of nine steps without an interruption, its configuration and its result."""
    config = small_config(tmp_path_factory.mktemp("run") / "a" / "run", archive)
    return config, train(config)


@pytest.fixture
def kill_at(monkeypatch):
    """End a run in this process after the optimiser step of a given number."""
    original = StepBookkeeping.on_train_batch_end

    def kill_at(step):
        def on_train_batch_end(self, trainer, *rest):
            original(self, trainer, *rest)
            if trainer.global_step == step:
                raise Killed

        monkeypatch.setattr(StepBookkeeping, "on_train_batch_end", on_train_batch_end)

    yield kill_at
    monkeypatch.undo()
