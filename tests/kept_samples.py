"""Keeps samples of today's formats for the tests of later versions.

    python -m tests.kept_samples FOLDER

writes, for a new number in `deepdft.models.upgrades.FORMAT`, before anything that others have
written is lost: model folders with densities that they predict (for `tests/models/format_N`), and a
run that was killed, with the weights that it reaches when it is not (for `tests/training/run_N`).
What is kept there is never written anew.
"""

from __future__ import annotations

import gzip
import json
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from ase import Atoms

from deepdft.architectures import create_model
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint
from deepdft.models.upgrades import FORMAT
from deepdft.prediction import load_model
from deepdft.training import train
from deepdft.training.callbacks import StepBookkeeping
from deepdft.training.trainer import STATE
from tests.small_data import write_archive
from tests.training.small_runs import Killed, small_config

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
WATER = Atoms("OH2", [[0, 0, 0], [0.76, 0.59, 0.1], [-0.76, 0.59, -0.05]])
POINTS = [[0.3, 0.2, 0.1], [0.9, -0.4, 0.5], [0.0, 0.0, 1.1], [9.0, 9.0, 9.0]]
OPTIONS: dict[str, dict[str, Any]] = {
    "deepdft": {"steps": 1, "channels": 4, "gaussian_width": 0.5},
    "equivariant": {
        "steps": 1,
        "scalars": 4,
        "tensors": 2,
        "degree": 1,
        "fields": [32],
        "hidden": 4,
    },
}
RUN = {"architecture": "deepdft", "options": OPTIONS["deepdft"]}
STEPS = 9


def keep_models(folder: Path) -> None:
    """Write a model folder of each architecture, with densities at some points."""
    for architecture, options in OPTIONS.items():
        torch.manual_seed(1)
        network = create_model(architecture, options, [1, 8])
        target = folder / architecture
        card = {"electrons": {"H": 1, "O": 6}}
        save_checkpoint(Checkpoint.of_network(network, LEVEL, "pbe-gth-dzvp", card), target)
        density = load_model(target, "cpu").density_at(WATER, POINTS)
        expected = {
            "numbers": WATER.numbers.tolist(),
            "positions": WATER.positions.tolist(),
            "points": POINTS,
            "density": np.asarray(density).tolist(),
        }
        (target / "expected.json").write_text(json.dumps(expected))


def keep_run(folder: Path) -> None:
    """Write a run that was killed behind its second validation, and where it would have ended."""
    folder.mkdir(parents=True)
    archive = write_archive(folder / "archive.npz")
    whole = small_config(folder / "whole", archive, model=RUN)
    train(whole)
    weights = folder / "whole" / "best" / "model.safetensors"
    shutil.copy(weights, folder / "uninterrupted.safetensors")
    shutil.rmtree(folder / "whole")
    plain = StepBookkeeping.on_train_batch_end

    def killed(self: StepBookkeeping, trainer: Any, *rest: Any) -> None:
        if trainer.global_step == STEPS - 2:
            raise Killed
        plain(self, trainer, *rest)

    StepBookkeeping.on_train_batch_end = killed  # type: ignore[method-assign]
    begun = small_config(folder / "begun", archive, model=RUN)
    with suppress(Killed):
        train(begun)
    StepBookkeeping.on_train_batch_end = plain  # type: ignore[method-assign]
    shutil.move(folder / "begun" / "best", folder / "best")
    state = (folder / "begun" / STATE).read_bytes()
    (folder / f"{STATE}.gz").write_bytes(gzip.compress(state, mtime=0))
    config = yaml.safe_load((folder / "begun" / "config.yaml").read_text())
    config["run_directory"], config["data"]["paths"] = "killed", ["archive.npz"]
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    shutil.rmtree(folder / "begun")


if __name__ == "__main__":
    keep_models(Path(sys.argv[1]) / f"format_{FORMAT}")
    keep_run(Path(sys.argv[1]) / f"run_{FORMAT}")
