"""The learning curve of QM9: errors of runs with different numbers of training structures.

The runs are those of `paper/comparison/compare.py`: folders with `training.json` and, once
evaluated, `test.json`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.errors import ConfigurationError
from deepdft.models.bundled import find_model
from deepdft.models.folder import read_description

CURVE = "curve.json"
PAPER_SIZE = 123_835
"""Training molecules of the paper."""


@dataclass(frozen=True)
class CurveRun:
    """One training with its test error.

    Attributes:
        size: training structures.
        seed: of weights, draws and the choice of structures.
        steps: gradient steps.
        error: mean eps_mae of the test structures, %.
        standard_error: of that mean over structures, %.
        validation: smallest validation error, %.
        fell_in_last_quarter: by which fraction the validation error still fell at the end.
        structures: test structures.
    """

    size: int
    seed: int
    steps: int
    error: float
    standard_error: float
    validation: float
    fell_in_last_quarter: float
    structures: int


@dataclass(frozen=True)
class Shipped:
    """The bundled model, a point beside the curve: it was trained for more steps.

    Attributes:
        size: training structures.
        steps: gradient steps.
        part: the error is of, "test" once that has been measured, "validation" before.
        error: mean eps_mae of the part's structures, %.
        standard_error: of that mean over structures, %; zero where it is not known.
    """

    size: int
    steps: int
    part: str
    error: float
    standard_error: float


@dataclass(frozen=True)
class Curve:
    """All runs that are known.

    Attributes:
        runs: evaluated ones, by size and seed.
        outstanding: (size, seed) of those begun and not evaluated.
        spacing: grid spacing of the evaluation, Å; None if random points were used.
    """

    runs: list[CurveRun]
    outstanding: list[tuple[int, int]]
    spacing: float | None

    @property
    def errors(self) -> dict[int, list[float]]:
        """Errors of the seeds, by size."""
        found: dict[int, list[float]] = {}
        for run in self.runs:
            found.setdefault(run.size, []).append(run.error)
        return found

    @property
    def sizes(self) -> list[int]:
        """Sizes with an evaluated run, ascending."""
        return sorted(self.errors)

    def as_json(self) -> dict[str, Any]:
        """Return the curve as JSON values that `read_curve` understands."""
        return {
            "spacing": self.spacing,
            "runs": [asdict(run) for run in self.runs],
            "outstanding": [list(pair) for pair in self.outstanding],
        }

    def of_size(self, size: int) -> list[CurveRun]:
        """Return the runs of a size."""
        return [run for run in self.runs if run.size == size]


def read_runs(folder: Path, row: str = "equivariant") -> Curve:
    """Read what a comparison has finished.

    Args:
        folder: output folder of `compare.py`.
        row: whose runs.

    Raises:
        ConfigurationError: if there are no runs, a file is damaged, or runs were evaluated on
            different points or trained more than once for a size and seed.
    """
    runs: list[CurveRun] = []
    outstanding: list[tuple[int, int]] = []
    points: dict[str, Any] | None = None
    for directory in sorted((folder / row).glob("steps_*_seed_*")):
        parts = directory.name.split("_")
        size, seed = int(parts[1]), int(parts[-1])
        training, test = directory / "training.json", directory / "test.json"
        if not (training.exists() and test.exists()):
            outstanding.append((size, seed))
            continue
        trained, tested = _content(training), _content(test)
        if points is not None and tested["points"] != points:
            raise ConfigurationError(
                f"{test} was evaluated on other points than the others; remove it to evaluate "
                "again."
            )
        points = tested["points"]
        if any((run.size, run.seed) == (size, seed) for run in runs):
            raise ConfigurationError(
                f"{folder / row} has two runs of {size} structures with seed {seed}; remove one."
            )
        runs.append(_run(trained, tested))
    if not runs:
        raise ConfigurationError(
            f"{folder} holds no evaluated runs of '{row}'; paper/comparison/compare.py makes them."
        )
    runs.sort(key=lambda run: (run.size, run.seed))
    return Curve(runs, sorted(outstanding), None if points is None else points.get("spacing"))


def _content(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is damaged: {error}.") from None
    return content


def _run(trained: dict[str, Any], tested: dict[str, Any]) -> CurveRun:
    errors = np.array(list(tested["errors"].values()))
    return CurveRun(
        trained["size"],
        trained["seed"],
        trained["steps"],
        float(errors.mean()),
        float(errors.std(ddof=1)) / len(errors) ** 0.5,
        trained["best"],
        trained["fell_in_last_quarter"],
        len(errors),
    )


def read_curve(folder: Path) -> Curve:
    """Read the curve of a folder that `deepdft reproduce learning-curve` wrote.

    Raises:
        ConfigurationError: if there is none or it is damaged.
    """
    path = folder / CURVE
    if not path.exists():
        raise ConfigurationError(f"{folder} holds no {CURVE}; name the folder of the runs.")
    content = _content(path)
    try:
        return Curve(
            [CurveRun(**run) for run in content["runs"]],
            [(int(size), int(seed)) for size, seed in content["outstanding"]],
            content["spacing"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{path} is damaged: {error!r}.") from None


def shipped_model(name: str = "qm9") -> Shipped:
    """Return what a bundled model's card says of its training and its error."""
    card = read_description(find_model(name))["card"]
    training = card["training"]
    part = "test" if "test" in card else "validation"
    return Shipped(
        training["structures"],
        _steps(training),
        part,
        card[part]["eps_mae_percent"],
        card[part].get("standard_error_percent", 0.0),
    )


def _steps(training: dict[str, Any]) -> int:
    """Return a training's steps with those of the trainings that it went on from."""
    steps: int = training["configuration"]["trainer"]["max_steps"]
    earlier = training.get("started_from")
    return steps if earlier is None else steps + _steps(earlier["training"])
