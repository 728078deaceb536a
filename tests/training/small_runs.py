"""Runs that take a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from deepdft.training.config import TrainConfig, parse_config
from deepdft.training.trainer import STATE

MODEL = {"architecture": "deepdft", "options": {"steps": 2, "channels": 8}}

UNCHANGING = {"learning_rate": 1e-30, "schedule": "constant", "warmup_steps": 0}
"""Options of an optimiser whose steps leave the weights as they were."""


def small_config(directory: Path, archive: Path, **sections: Any) -> TrainConfig:
    """Return a run of nine steps with a validation every three; sections are merged in."""
    values: dict[str, Any] = {
        "run_directory": str(directory),
        "seed": 3,
        "model": MODEL,
        "data": {"paths": [str(archive)], "validation_count": 1},
        "sampling": {"structures": 2, "probes": 30, "importance": 0.5},
        "optimizer": {
            "learning_rate": 1e-2, "schedule": "cosine", "warmup_steps": 2, "gradient_clip": 10.0,
            "average_decay": 0.9,
        },
        "trainer": {
            "max_steps": 9, "validation_interval": 3, "validation_probes": 60, "threads": 1,
            "accelerator": "cpu",
        },
    }  # fmt: skip
    split = archive.parent / "split.json"
    if split.exists():
        values["data"]["split"] = str(split)
    for name, section in sections.items():
        values[name] = {**values[name], **section} if isinstance(section, dict) else section
    return parse_config(values)


def read_state(directory: Path) -> dict[str, Any]:
    """Read the trainer state of a run, which must not need to run any code."""
    state: dict[str, Any] = torch.load(directory / STATE, weights_only=True)
    return state


def assert_same(left: Any, right: Any, path: str = "state") -> None:
    """Compare nested containers of tensors bit by bit."""
    assert type(left) is type(right), path
    if isinstance(left, dict):
        assert list(left) == list(right), path
        for key in left:
            assert_same(left[key], right[key], f"{path}.{key}")
    elif isinstance(left, list | tuple):
        assert len(left) == len(right), path
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_same(a, b, f"{path}[{i}]")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    else:
        assert left == right, path


class Killed(Exception):
    """Stands for whatever ends a run."""


def directory_of(config: TrainConfig) -> Path:
    """Return where a run is kept."""
    return Path(config.run_directory)


def assert_same_run(directory: Path, reference: Path) -> None:
    """Weights, averages, optimiser and best model are those of the run that was not interrupted."""
    found, expected = read_state(directory), read_state(reference)
    assert found["global_step"] == expected["global_step"]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        assert_same(found[part], expected[part], part)
    weights, best = (
        (folder / "best" / "model.safetensors").read_bytes() for folder in (directory, reference)
    )
    assert weights == best
