"""One training with its measured cost, and one evaluation; each is kept as JSON and done once."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from plan import Rows, Run, Settings

from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError
from deepdft.evaluation.evaluate import Evaluation, Predictor, evaluate
from deepdft.models.bundled import open_checkpoint
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.whole_files import replace_file
from deepdft.training import train
from deepdft.training.card import recorded_start
from deepdft.training.config import TrainConfig, read_config
from deepdft.training.trainer import BEST, STATE

STILL_FALLING = 0.05
"""A run is not converged if its validation error fell by more than this in the last quarter."""

RECORD = "training.json"
"""File in a run's folder that tells what its training was and cost, once it is finished."""

Record = dict[str, Any]


def trained(run: Run, rows: Rows, settings: Settings) -> Record:
    """Train, go on with an interrupted training, or return what is known of a finished one.

    Returns:
        The run's fields with parameters, seconds, probes per second, the validation errors, the
        best of them, and whether it had converged; "diverged" alone if it has no best.

    Raises:
        ConfigurationError: if the folder holds a run of another configuration.
    """
    folder = run.folder(settings.output)
    config = rows.config(run, settings)
    start = rows.start(run, settings)
    record = folder / RECORD
    _require_same(folder, config, start)
    if record.exists():
        found: Record = json.loads(record.read_text(encoding="utf-8"))
        return found
    try:
        train(config, start_from=start, resume=(folder / STATE).exists())
    except ConfigurationError as error:
        if "diverged" not in str(error):
            raise
        result: Record = {**asdict(run), "diverged": True, "best": math.inf}
    else:
        result = {**asdict(run), "diverged": False, **measured(folder, config)}
    write_json(record, result)
    return result


def trained_elsewhere(folder: Path) -> list[Record]:
    """Return what is known of a training by another code, in a list: its `RECORD`, if any.

    Its validation errors are not known, so neither is whether it had converged.
    """
    path = folder / RECORD
    if not path.exists():
        return []
    found: Record = json.loads(path.read_text(encoding="utf-8"))
    return [{"best": math.nan, "fell_in_last_quarter": math.nan, "converged": None, **found}]


def _require_same(folder: Path, config: TrainConfig, start: str | None) -> None:
    stored = folder / "config.yaml"
    if not stored.exists():
        return
    # The folder may have been moved since.
    found = read_config(stored).model_copy(update={"run_directory": config.run_directory})
    if start is not None:
        # A run that began with a model has taken over what is not said of the network.
        config = config.model_copy(update={"model": found.model})
    if found != config:
        raise ConfigurationError(
            f"{folder} holds a run of another configuration; give another --output, or the "
            "settings of before."
        )
    began = (recorded_start(folder / BEST) or {}).get("model")
    if began != start:
        raise ConfigurationError(
            f"{folder} began with {began}, not with {start}; give another --output, or the "
            "--start of before."
        )


def measured(folder: Path, config: TrainConfig) -> Record:
    """Return what a finished run's logs and model tell."""
    validation: list[tuple[int, float]] = []
    rates: dict[int, float] = {}
    for path in sorted((folder / "logs").rglob("metrics.csv"), key=lambda p: p.stat().st_mtime):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row.get("validation/eps_mae"):
                    validation.append((int(row["step"]) + 1, float(row["validation/eps_mae"])))
                if row.get("probes/s"):
                    # The rate since the epoch began: the last one of an epoch counts.
                    rates[int(row["epoch"])] = float(row["probes/s"])
    steps = config.trainer.max_steps
    probes = steps * config.sampling.structures * config.sampling.probes
    # The upper quartile of the epochs' rates: in the others, other programs may have competed.
    rate = float(np.percentile(list(rates.values()), 75.0)) if rates else math.nan
    checkpoint = open_checkpoint(folder)
    errors = dict(validation)
    fell = fall_in_last_quarter(sorted(errors.items()), steps)
    return {
        "parameters": sum(p.numel() for p in checkpoint.network.parameters()),
        "seconds": probes / rate,
        "probes_per_second": rate,
        "threads": config.trainer.threads,
        "validation": sorted(errors.items()),
        "best": min(errors.values()),
        "fell_in_last_quarter": fell,
        "converged": fell <= STILL_FALLING,
    }


def fall_in_last_quarter(validation: list[tuple[int, float]], steps: int) -> float:
    """Return by which fraction the best validation error fell in the last quarter of the steps."""
    before = [error for step, error in validation if step <= 0.75 * steps]
    if not before:
        return math.inf
    return 1.0 - min(error for _, error in validation) / min(before)


def best_rate(records: list[Record]) -> float:
    """Return the learning rate with the smallest validation error.

    Raises:
        ConfigurationError: if all have diverged.
    """
    best = min(records, key=lambda record: float(record["best"]))
    if best["diverged"]:
        raise ConfigurationError(f"Row '{best['row']}' diverged with every learning rate.")
    return float(best["rate"])


def tested(
    predictor: Callable[[], Predictor], path: Path, dataset: DensityDataset, options: Record
) -> Record:
    """Evaluate on the test part, or return what is known.

    Args:
        predictor: loads what is evaluated.
        path: JSON file that keeps the result.
        dataset: the test part.
        options: of `deepdft.evaluation.evaluate.evaluate`.

    Raises:
        ConfigurationError: if what is known was evaluated on other points.
    """
    points = {**options, "structures": list(dataset.names)}
    if path.exists():
        found: Record = json.loads(path.read_text(encoding="utf-8"))
        if found["points"] != points:
            raise ConfigurationError(
                f"{path} was evaluated on other points; remove it to evaluate again."
            )
        return found
    (evaluation,) = evaluate([predictor()], dataset, **options)
    result = {"points": points, **_errors(evaluation)}
    write_json(path, result)
    return result


def _errors(evaluation: Evaluation) -> Record:
    return {
        "summary": evaluation.summary(),
        "errors": {row.name: 100.0 * row.eps_mae for row in evaluation.rows},
    }


def model_of(folder: Path | str, name: str, settings: Settings) -> TrainedModel:
    """Load a model, for example the best of a run."""
    from deepdft.prediction import load_model

    model = load_model(folder, "cpu" if settings.accelerator == "cpu" else "auto")
    model.name, model.threads = name, settings.threads
    return model


def write_json(path: Path, content: Record) -> None:
    """Write JSON so that the file appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())
