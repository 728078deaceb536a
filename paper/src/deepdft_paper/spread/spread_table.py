"""The table of a measurement of equation (8): one row a molecule, `spread.csv` and `spread.json`.

Errors and deviations are fractions. A folder with these two files is all that a summary needs, and
all that is needed to go on with further molecules.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.dft.functionals import EIGHT, SEVEN
from deepdft.dft.manifest import write_json
from deepdft.errors import ConfigurationError
from deepdft.storage.whole_files import AtomicFile

TABLE, DESCRIPTION = "spread.csv", "spread.json"
SETS = {
    "eps_mad": tuple(functional.name for functional in EIGHT),
    "eps_mad_without_PZ": tuple(functional.name for functional in SEVEN),
}
"""Columns of equation (8): K = 8, and K = 7 with one fit of the Ceperley-Alder data."""
FIRST = "PBE"
"""The functional of rho_1, and of the densities that models have learned."""

_TEXT = ("name", "formula")
_COUNTS = ("atoms", "points", "iterations")


@dataclass
class SpreadTable:
    """Deviations of functionals, and errors of models, for many molecules.

    Attributes:
        settings: everything that decides the numbers; a table holds one choice.
        rows: by name of the molecule: formula, atoms, points, electrons, `SETS`, "deviation X" of
            each functional X, "eps_mae M" of each model M, iterations and seconds.
        failed: reasons by name.
        versions: of the programs that the latest rows were made with.
        models: hash of each model that was measured, by name.
    """

    settings: dict[str, Any]
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> SpreadTable:
        """Read a table.

        Raises:
            ConfigurationError: if there is none, or it is damaged.
        """
        try:
            about = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            with (folder / TABLE).open(encoding="utf-8", newline="") as file:
                rows = [_parsed(row) for row in csv.DictReader(file)]
            return cls(
                about["settings"],
                {row["name"]: row for row in rows},
                about["failed"],
                about["versions"],
                about["models"],
            )
        except OSError as error:
            raise ConfigurationError(
                f"{folder} holds no table of densities' spread: {error.filename} cannot be read, "
                f"{error.strerror}."
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(
                f"{folder}/{TABLE} or {DESCRIPTION} is damaged: {error}."
            ) from None

    def write(self, folder: Path) -> None:
        """Write the table into a folder."""
        columns: dict[str, None] = {}
        for row in self.rows.values():
            columns |= dict.fromkeys(row)
        text = io.StringIO()
        writer = csv.DictWriter(text, list(columns), lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {key: _shown(value) for key, value in row.items()} for row in self.rows.values()
        )
        with AtomicFile(folder / TABLE) as file:
            file.write(text.getvalue().encode())
        about = {
            "settings": self.settings,
            "versions": self.versions,
            "models": self.models,
            "failed": self.failed,
            "summary": self.summary(),
        }
        write_json(folder / DESCRIPTION, about)

    def set_model(self, name: str, digest: str) -> None:
        """Say which model a name stands for; errors of another one by that name are dropped."""
        if self.models.get(name) != digest:
            for row in self.rows.values():
                row.pop(f"eps_mae {name}", None)
        self.models[name] = digest

    @property
    def columns_of_errors(self) -> list[str]:
        """Names of the columns that a summary is about, those of models last."""
        models = {key for row in self.rows.values() for key in row if key.startswith("eps_mae ")}
        return [*SETS, *sorted(models)]

    def summary(self) -> dict[str, Any]:
        """Return the statistics of every column of errors, in percent.

        Those of models also say on how many of their molecules the model's error is below the
        spread with K = 8, and the mean spread of the same molecules.
        """
        result: dict[str, Any] = {}
        for column in self.columns_of_errors:
            known = [row for row in self.rows.values() if row.get(column) is not None]
            if not known:
                continue
            values = 100 * np.array([row[column] for row in known])
            result[column] = _statistics(values)
            if column not in SETS:
                spread = 100 * np.array([row["eps_mad"] for row in known])
                result[column]["below_eps_mad"] = int((values < spread).sum())
                result[column]["mean_eps_mad_of_the_same"] = float(spread.mean())
        return result


def _statistics(values: np.ndarray) -> dict[str, float | int | None]:
    error = float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return {
        "count": len(values),
        "mean": float(values.mean()),
        "standard_error": error,
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def _parsed(row: dict[str, str]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, text in row.items():
        if text in ("", None):
            continue
        result[key] = text if key in _TEXT else int(text) if key in _COUNTS else float(text)
    return result


def _shown(value: Any) -> Any:
    return f"{value:.7g}" if isinstance(value, float) else value
