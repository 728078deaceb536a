"""Configuration of a training run: one source of defaults, validation and documentation.

A configuration is a YAML file; on the command line ``key=value`` changes single entries
(``optimizer.learning_rate=1e-4``). Unknown keys are refused with the closest known one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.storage.json_files import read_document
from deepdft.storage.yaml_text import option_value, parse_yaml

_MOST_STEPS = 10**9
"""Steps, structures and other things that are counted one by one."""
_MOST_PROBES = 10**7
"""Probes of a structure: three hundred times what an accurate training draws."""
_MOST_DRAWN = 10**8
"""Probes of a step: their edges alone take some hundred GB."""
_MOST_THREADS = 1024
_LARGEST_SEED = 2**32 - 1
"""Lightning's; NumPy and torch take larger ones."""


def _path(text: str) -> str:
    if "\0" in text or not text:
        raise ValueError("a path cannot be empty or hold a NUL")
    return text


_Path = Annotated[str, AfterValidator(_path)]


class _Section(BaseModel):
    # A directory may be called 2024; text such as 1e-4, which YAML 1.1 does not read as a number,
    # becomes one where an option is a number.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)


class ModelConfig(_Section):
    """Which network is trained, and on top of what."""

    architecture: str = Field("deepdft", description="Name of the architecture.")
    options: dict[str, Any] = Field(
        default_factory=dict, description="The architecture's own options."
    )
    baseline: Literal["none", "atoms"] = Field(
        "none",
        description=(
            "'atoms': the network learns the difference to superposed atomic densities of the "
            "data's level of theory; 'none': the whole density."
        ),
    )


class DataConfig(_Section):
    """Where the reference densities are."""

    paths: list[_Path] = Field(
        default_factory=list,
        description=(
            "Training stores, density files, tar files of them, lists of paths, directories or "
            "patterns of any of these; or orbital archives (docs/data.md)."
        ),
    )
    split: _Path | None = Field(
        None, description="JSON file with lists under 'train', 'validation' and 'test'."
    )
    validation_count: int = Field(
        50,
        ge=1,
        le=_MOST_STEPS,
        description="Structures held out for validation where there is no split file.",
    )
    max_train: int | None = Field(
        None,
        ge=1,
        le=_MOST_STEPS,
        description="Use only the first so many training structures (learning curves).",
    )
    train_seed: int | None = Field(
        None,
        ge=0,
        le=_LARGEST_SEED,
        description=(
            "Shuffle training structures with this seed before `max_train` counts; those that "
            "bring in every element come first, so that small selections know all of them."
        ),
    )
    mix_levels: bool = Field(False, description="Accept data of different levels of theory.")
    level: dict[str, str] = Field(
        default_factory=dict,
        description="Level of theory (functional, core, basis, code) where files do not tell.",
    )


class SamplingConfig(_Section):
    """Which probes a training step sees."""

    structures: int = Field(
        2, ge=1, le=_MOST_PROBES, description="Structures a step (on each process)."
    )
    probes: int = Field(1000, ge=1, le=_MOST_PROBES, description="Probes in each structure.")
    importance: float = Field(
        0.0,
        ge=0.0,
        lt=1.0,
        description=(
            "Fraction of the probes drawn where the density is large; the loss is weighted so that "
            "its expectation stays that of uniform probes. 0 is the paper's uniform sampling."
        ),
    )
    weights: dict[str, Annotated[float, Field(gt=0.0, allow_inf_nan=False)]] = Field(
        default_factory=dict,
        description=(
            "Factors by group of structures (`group` in the data): how much more often one of the "
            "group is seen than one of a group without a factor. An epoch stays as long."
        ),
    )

    @model_validator(mode="after")
    def _fits_into_memory(self) -> SamplingConfig:
        if self.structures * self.probes > _MOST_DRAWN:
            raise ValueError(
                f"structures times probes must be at most {_MOST_DRAWN:g}, the probes of a step"
            )
        return self


class OptimizerConfig(_Section):
    """Loss, optimiser and learning rate."""

    loss: Literal["mean_squared_error", "mean_absolute_error", "eps_mae"] = Field(
        "mean_squared_error",
        description=(
            "Loss on the density at the probes; 'eps_mae' is the mean over structures of eq. (7), "
            "estimated from their probes."
        ),
    )
    learning_rate: float = Field(1e-4, gt=0, le=1e30, description="Learning rate of Adam.")
    second_moment_decay: float = Field(
        0.999, gt=0, lt=1, description="Adam's beta_2; less forgets large gradients sooner."
    )
    weight_decay: float = Field(
        0.0,
        ge=0,
        le=100,
        description=(
            "Decay of matrices of weights, times the learning rate in every step (AdamW); 0.1 "
            "helps where structures are few."
        ),
    )
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="'cosine' falls to 1 % of the learning rate at max_steps."
    )
    warmup_steps: int = Field(
        100, ge=0, le=_MOST_STEPS, description="Steps of linear increase at the start."
    )
    gradient_clip: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="Largest norm of the gradient."
    )
    average_decay: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Decay of the exponential moving average of the weights (0: no average).",
    )


class TrainerConfig(_Section):
    """Length of the run, validation and hardware."""

    max_steps: int = Field(100_000, ge=1, le=_MOST_STEPS, description="Optimiser steps.")
    validation_interval: int = Field(
        1000, ge=1, le=_MOST_STEPS, description="Steps between validations."
    )
    validation_probes: int = Field(
        2000, ge=1, le=_MOST_PROBES, description="Probes in each validation structure."
    )
    patience: int | None = Field(
        None,
        ge=1,
        le=_MOST_STEPS,
        description="Stop after so many validations without a better eps_mae.",
    )
    accelerator: str = Field("auto", description="Lightning's accelerator: auto, cpu, gpu.")
    devices: int = Field(
        1, ge=1, le=_MOST_THREADS, description="Processes (GPUs, or CPU processes)."
    )
    threads: int | None = Field(
        None, ge=1, le=_MOST_THREADS, description="CPU threads of each process."
    )
    workers: int | None = Field(
        None,
        ge=0,
        le=_MOST_THREADS,
        description=(
            "Threads of each process that draw the probes of the next steps while the device "
            "computes; default: none on a CPU, up to eight on a GPU."
        ),
    )


class TrainConfig(_Section):
    """A training run; docs/training.md says which options a resumed run may change."""

    run_directory: _Path = Field("runs/deepdft", description="Where results go.")
    seed: int = Field(0, ge=0, le=_LARGEST_SEED, description="Seed of weights and draws.")
    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    optimizer: OptimizerConfig = Field(default_factory=OptimizerConfig)
    trainer: TrainerConfig = Field(default_factory=TrainerConfig)

    def with_absolute_paths(self) -> TrainConfig:
        """Return the same with the paths of data absolute, to be kept in another folder."""
        values = self.model_dump()
        _resolve_paths(values, Path.cwd())
        return TrainConfig.model_validate(values)

    def to_yaml(self) -> str:
        """Return the full configuration, defaults included, as YAML."""
        return yaml.safe_dump(self.model_dump(), sort_keys=False)


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """Read a training configuration.

    Paths of data in the file are relative to the file; those in overrides to the working directory.

    Args:
        path: YAML file.
        overrides: ``key=value`` strings with dotted keys; values are YAML.

    Raises:
        ConfigurationError: if the file or a value is unusable.
    """
    path = Path(path)
    try:
        values = parse_yaml(read_document(path), f"The configuration {path}")
    except FileFormatError as error:
        sentence = str(error)
        if sentence.startswith(str(path)):
            sentence = f"The configuration {sentence}"
        raise ConfigurationError(sentence) from None
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigurationError(f"The configuration {path} must hold 'key: value' pairs.")
    _resolve_paths(values, path.parent)
    for override in overrides:
        _apply_override(values, override)
    return parse_config(values, str(path))


def parse_config(values: Mapping[str, Any], source: str = "configuration") -> TrainConfig:
    """Validate a nested dictionary.

    >>> config = parse_config({"optimizer": {"learning_rate": 2e-3}})
    >>> config.optimizer.learning_rate, config.optimizer.schedule
    (0.002, 'constant')
    >>> parse_config({"optimizer": {"learningrate": 2e-3}})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    deepdft.errors.ConfigurationError: ... Did you mean 'learning_rate'?

    Raises:
        ConfigurationError: with the offending key and the closest known one.
    """
    try:
        return TrainConfig.model_validate(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        location = [str(part) for part in first["loc"]]
        key = ".".join(location)
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(location[-1], _known_keys(location[:-1]))
            raise ConfigurationError(f"{source}: there is no option '{key[:80]}'.{hint}") from None
        raise ConfigurationError(f"{source}: option '{key[:80]}': {first['msg']}.") from None


def _known_keys(section: Sequence[str]) -> list[str]:
    model: Any = TrainConfig
    for part in section:
        model = model.model_fields[part].annotation
    return list(model.model_fields)


def _resolve_paths(values: dict[str, Any], base: Path) -> None:
    data = values.get("data")
    if not isinstance(data, dict):
        return
    paths = data.get("paths")
    if isinstance(paths, str):
        paths = [paths]
    if isinstance(paths, list):
        data["paths"] = [_relative_to(base, str(item)) for item in paths]
    if isinstance(data.get("split"), str):
        data["split"] = _relative_to(base, data["split"])


def _relative_to(base: Path, path: str) -> str:
    return os.path.normpath(os.path.join(base, os.path.expanduser(path)))


def _apply_override(values: dict[str, Any], override: str) -> None:
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise ConfigurationError(f"'{override[:80]}' is not of the form key=value.")
    value = option_value(text, override[:80])
    *sections, name = key.split(".")
    target = values
    for section in sections:
        inner = target.setdefault(section, {})
        if not isinstance(inner, dict):
            raise ConfigurationError(f"'{key[:80]}': '{section[:80]}' is not a section.")
        target = inner
    if key == "data.paths" and isinstance(value, str):
        value = [value]
    target[name] = value
