"""What is to be trained: rows, learning rates, sizes and seeds as training configurations."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.training.config import TrainConfig, parse_config

ABOUT_ROWS = {"rates", "needs"}
"""Entries of a row that do not belong to its training configuration."""

START = "start"
"""What a row needs that begins with a trained model."""

VALIDATIONS = 20
"""How often a run is validated."""


@dataclass(frozen=True)
class Settings:
    """What all runs of a comparison share.

    Attributes:
        data: paths of the reference densities.
        split: JSON file with train, validation and test.
        output: folder of the comparison.
        steps: gradient steps of runs at equal steps.
        threads: CPU threads.
        accelerator: Lightning's accelerator.
        validation_probes: probes in each validation structure.
        start: name or folder of the model that rows which need one begin with.
    """

    data: tuple[str, ...]
    split: str
    output: Path
    steps: int
    threads: int
    accelerator: str = "cpu"
    validation_probes: int = 1000
    start: str | None = None


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        row: name of the row.
        mode: "steps" or "time": what it has in common with the other rows; "rate": a shorter run
            that only chooses the learning rate.
        size: number of training structures.
        rate: learning rate.
        seed: seed of weights, of draws, and of which training structures are taken.
        steps: gradient steps.
    """

    row: str
    mode: str
    size: int
    rate: float
    seed: int
    steps: int

    def folder(self, output: Path) -> Path:
        """Return the run directory."""
        return output / self.row / f"{self.mode}_{self.size}_rate_{self.rate:g}_seed_{self.seed}"


class Rows:
    """The rows of a comparison, from a YAML file.

    Raises:
        ConfigurationError: if the file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            self.common: dict[str, Any] = content.get("common") or {}
            self.rows: dict[str, dict[str, Any]] = content["rows"]
            self.rates = {name: [float(r) for r in row["rates"]] for name, row in self.rows.items()}
        except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"{path} does not describe rows: {error!r}.") from None
        if any(not rates for rates in self.rates.values()):
            raise ConfigurationError(f"{path}: every row needs learning rates.")

    def chosen(self, names: list[str] | None, given: Collection[str] = ()) -> list[str]:
        """Return the rows asked for, by default all that can be trained.

        Args:
            names: of rows, or None.
            given: what rows may need that the command line has given.

        Raises:
            ConfigurationError: if there is no such row, or one asked for needs what is not given.
        """
        for name in names or []:
            if name not in self.rows:
                raise ConfigurationError(
                    f"There is no row '{name}'.{did_you_mean(name, self.rows)}"
                )
            if not self._trainable(name, given):
                raise ConfigurationError(f"Row '{name}' needs --{self.rows[name]['needs']}.")
        return names or [name for name in self.rows if self._trainable(name, given)]

    def _trainable(self, name: str, given: Collection[str]) -> bool:
        return "needs" not in self.rows[name] or self.rows[name]["needs"] in given

    def start(self, run: Run, settings: Settings) -> str | None:
        """Return the model that a run begins with, if any."""
        return settings.start if self.rows[run.row].get("needs") == START else None

    def config(self, run: Run, settings: Settings) -> TrainConfig:
        """Return the configuration of a run."""
        row = {key: value for key, value in self.rows[run.row].items() if key not in ABOUT_ROWS}
        # Whole multiples of the 20 steps between two entries in the logs, where there are enough.
        interval = max(1, run.steps // VALIDATIONS)
        interval -= interval % 20 if interval > 20 else 0
        values = merged(
            merged(self.common, row),
            {
                "run_directory": str(run.folder(settings.output)),
                "seed": run.seed,
                "data": {
                    "paths": list(settings.data),
                    "split": settings.split,
                    "max_train": run.size,
                    "train_seed": run.seed,
                },
                "optimizer": {"learning_rate": run.rate},
                "trainer": {
                    "max_steps": run.steps,
                    "validation_interval": interval,
                    "validation_probes": settings.validation_probes,
                    "threads": settings.threads,
                    "accelerator": settings.accelerator,
                },
            },
        )
        # As training keeps it, so that both can be compared.
        return parse_config(values, f"row '{run.row}'").with_absolute_paths()


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested dictionaries with the entries of `above` over those of `below`."""
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        both = isinstance(value, Mapping) and isinstance(old, Mapping)
        result[key] = merged(old, value) if both else value
    return result
