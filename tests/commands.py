"""A small model in a folder, and a way to run the command as a user does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from deepdft.architectures import create_model
from deepdft.cli import main
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


class Outcome(NamedTuple):
    """What a command left behind."""

    code: int
    output: str
    error: str


@pytest.fixture(scope="session")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with random weights on top of superposed atoms."""
    torch.manual_seed(3)
    options = {"steps": 2, "channels": 8, "envelope": "smooth"}
    network = create_model("deepdft", options, [1, 6, 7, 8, 9])
    card = {"electrons": {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7}}
    folder = tmp_path_factory.mktemp("model")
    save_checkpoint(Checkpoint.of_network(network, LEVEL, "pbe-gth-dzvp", card), folder)
    return folder


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Outcome]:
    """Run `deepdft ARGUMENTS...` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["deepdft", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        code = stopped.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return call
