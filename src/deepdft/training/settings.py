"""What a run is told and what it goes by: settings given, taken over, changed and refused.

What was given and what is a default are told apart: `TrainConfig` knows which of its entries were
set. A run that goes on, or that begins with a model, takes over whatever is not given; what is
given and differs is either used from then on or refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from deepdft.architectures import parse_options
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.models.checkpoint import Checkpoint
from deepdft.storage.json_files import read_document
from deepdft.storage.whole_files import replace_file
from deepdft.storage.yaml_text import parse_yaml
from deepdft.training.config import ModelConfig, TrainConfig, parse_config, read_config

CHANGES = "changes.yaml"
"""File in a run directory that says what was changed when the run went on."""

USED_FROM_NOW_ON = frozenset(
    {
        "optimizer.learning_rate",
        "optimizer.second_moment_decay",
        "optimizer.schedule",
        "optimizer.warmup_steps",
        "optimizer.gradient_clip",
        "optimizer.average_decay",
        "trainer.max_steps",
        "trainer.validation_interval",
        "trainer.patience",
        "trainer.accelerator",
        "trainer.devices",
        "trainer.threads",
        "trainer.workers",
    }
)
"""What may differ when a run goes on. The rest decides what the steps before meant."""


def given_settings(config: TrainConfig) -> dict[str, Any]:
    """Return what was set, not left to defaults, by dotted key ("optimizer.loss")."""
    found: dict[str, Any] = {}
    for name in sorted(config.model_fields_set - {"run_directory"}):
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            found |= {f"{name}.{key}": getattr(value, key) for key in value.model_fields_set}
        else:
            found[name] = value
    return found


def settings_from_model(config: TrainConfig, parent: Checkpoint, name: str) -> TrainConfig:
    """Return the configuration of a run that begins with a model, whose form it takes over.

    Args:
        config: the run.
        parent: the model.
        name: what it is called.

    Raises:
        ConfigurationError: if another architecture, option or baseline was given.
    """
    own = ModelConfig(
        architecture=parent.network.architecture.name,
        options=parent.network.options.model_dump(),
        baseline="none" if parent.baseline is None else "atoms",
    )
    for key, (before, given) in _differences_in_model(config, own).items():
        raise ConfigurationError(
            f"The model {name} was trained with {key} {_shown(before)}, this run has "
            f"{_shown(given)}; only with the same can it be fine-tuned. Leave {key} out."
        )
    return config.model_copy(update={"model": own})


def settings_of_resumed(
    config: TrainConfig, directory: Path
) -> tuple[TrainConfig, dict[str, tuple[Any, Any]]]:
    """Return the configuration with which a run goes on, and what of it was changed.

    Args:
        config: what is given now.
        directory: of the run, whose configuration so far lies there.

    Returns:
        The configuration, and by dotted key what was before and what is from now on.

    Raises:
        ConfigurationError: if something was given that would make it another run.
    """
    kept = directory / "config.yaml"
    if not kept.exists():
        return config, {}
    stored = read_config(kept)
    differing = _differences_in_model(config, stored.model)
    absolute = config.with_absolute_paths()
    for key, value in given_settings(config).items():
        section, _, name = key.rpartition(".")
        if section == "model":
            continue
        if section == "data":
            value = getattr(absolute.data, name)
        before = getattr(getattr(stored, section) if section else stored, name)
        if value != before:
            differing[key] = before, value
    refused = [key for key in differing if key not in USED_FROM_NOW_ON]
    if refused:
        named = ", ".join(
            f"{key} {_shown(differing[key][1])} (so far {_shown(differing[key][0])})"
            for key in refused
        )
        raise ConfigurationError(
            f"The run in {directory} cannot go on with {named}; leave that out or give what the "
            f"run began with ({kept} has all of it), or begin another run_directory."
            + _moved_data(refused, kept)
        )
    values = stored.model_dump()
    for key, (_, value) in differing.items():
        section, _, name = key.rpartition(".")
        values[section][name] = value
    values["run_directory"] = config.run_directory
    return parse_config(values, str(kept)), differing


def all_changes(
    directory: Path, step: int, changes: Mapping[str, tuple[Any, Any]]
) -> list[dict[str, Any]]:
    """Return what was ever changed when a run went on: entries of `step` and `changed`.

    Args:
        directory: of the run, where earlier changes are noted.
        step: optimiser steps done.
        changes: what is changed now, by dotted key: what was before, and what is from now on.

    Raises:
        FileFormatError: if what was noted before cannot be read.
    """
    path = directory / CHANGES
    noted = _read_changes(path) if path.exists() else []
    if not changes:
        return noted
    entry = {key: [before, value] for key, (before, value) in changes.items()}
    if noted and noted[-1]["step"] == step:
        # No step was made with what was chosen last.
        last = noted.pop()["changed"]
        entry = {key: [last.get(key, pair)[0], pair[1]] for key, pair in (last | entry).items()}
        entry = {key: pair for key, pair in entry.items() if pair[0] != pair[1]}
    if entry:
        noted.append({"step": step, "changed": entry})
    return noted


def record_settings(
    config: TrainConfig, directory: Path, changes: Sequence[Mapping[str, Any]]
) -> None:
    """Keep in a run directory by what its run goes, and all that was changed on the way."""
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / "config.yaml", config.with_absolute_paths().to_yaml().encode())
    if changes or (directory / CHANGES).exists():
        noted = yaml.safe_dump([dict(entry) for entry in changes], sort_keys=False)
        replace_file(directory / CHANGES, noted.encode())


def _read_changes(path: Path) -> list[dict[str, Any]]:
    try:
        noted = parse_yaml(read_document(path), str(path))
        return [{"step": int(e["step"]), "changed": dict(e["changed"])} for e in noted]
    except (FileFormatError, TypeError, KeyError, ValueError, OverflowError):
        raise FileFormatError(
            f"{path}, which lists what was changed in the run, cannot be read; mend or remove it."
        ) from None


def _differences_in_model(config: TrainConfig, own: ModelConfig) -> dict[str, tuple[Any, Any]]:
    """Return what was given of a network and differs, by key: what it has, what was given."""
    model = config.model
    found: dict[str, tuple[Any, Any]] = {}
    for key in ("architecture", "baseline"):
        before, given = getattr(own, key), getattr(model, key)
        if key in model.model_fields_set and before != given:
            found[f"model.{key}"] = before, given
    if "model.architecture" not in found:
        # Compared as the architecture understands them: 4 and 4.0 are one cutoff.
        has = parse_options(own.architecture, own.options).model_dump()
        would = parse_options(own.architecture, {**own.options, **model.options}).model_dump()
        found |= {
            f"model.options.{key}": (has[key], would[key]) for key in has if has[key] != would[key]
        }
    return found


def _shown(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)


def _moved_data(keys: Sequence[str], kept: Path) -> str:
    moved = [key for key in keys if key in ("data.paths", "data.split")]
    return f" Where the same data have moved, change {moved[0]} in {kept}." if moved else ""
