"""Trainings on parts of the crystals' data, each done once: what the experiments here share.

Every run has a folder. It is begun anew or gone on with where it was interrupted, and its errors
are kept in `errors.json`; given again, an experiment goes on with what is missing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from collect import part_of

from deepdft.data import DensityDataset, open_dataset
from deepdft.errors import ConfigurationError
from deepdft.evaluation.evaluate import evaluate
from deepdft.models.expected_errors.error_model import save_error_model
from deepdft.prediction import TrainedModel, load_model
from deepdft.storage.whole_files import replace_file
from deepdft.training import train
from deepdft.training.config import read_config
from deepdft.training.trainer import STATE
from deepdft.uncertainty.fit import fit_error_model
from deepdft.uncertainty.measure import UncertaintyMeasurement

ERRORS = "errors.json"
CONFIG = Path(__file__).resolve().parents[2] / "configs" / "crystals.yaml"


@dataclass
class Crystals:
    """The data of an experiment.

    Attributes:
        paths: folders of archives of plane waves.
        data: all of their crystals.
        keys: reduced formula of each.
    """

    paths: list[str]
    data: DensityDataset
    keys: list[str]

    @classmethod
    def opened(cls, paths: Sequence[str | Path]) -> Crystals:
        """Open folders of archives of plane waves."""
        data = open_dataset([str(path) for path in paths])
        keys = [str(data.preview(i).info["key"]) for i in range(len(data))]
        return cls([str(path) for path in paths], data, keys)

    def of_part(self, part: str) -> list[int]:
        """Return the crystals of one part of the split: 'train', 'validation' or 'test'."""
        return [i for i, key in enumerate(self.keys) if part_of(key) == part]

    def fold(self, index: int, folds: int, salt: str = "fold") -> int:
        """Return which of so many folds a crystal is in: whole formulas, evenly, for ever."""
        digest = hashlib.sha256(f"{salt} {self.keys[index]}".encode()).hexdigest()
        return int(digest, 16) % folds

    def elements(self, index: int) -> set[int]:
        """Return the atomic numbers of a crystal."""
        return {int(z) for z in self.data.preview(index).numbers}

    def known(self, indices: Sequence[int], training: Sequence[int]) -> list[int]:
        """Return those of some crystals whose elements all occur in training."""
        seen = set().union(*(self.elements(i) for i in training))
        return [i for i in indices if self.elements(i) <= seen]

    def shuffled(self, indices: Sequence[int], seed: int) -> list[int]:
        """Return crystals in a random order, but as soon as possible with all elements.

        First come those that bring in the most elements; beginnings of the order are training
        sets, and no network treats an element that it has not seen.
        """
        left = [indices[i] for i in np.random.default_rng(seed).permutation(len(indices))]
        first: list[int] = []
        missing = set().union(*(self.elements(i) for i in left))
        while missing:
            best = max(left, key=lambda i: len(self.elements(i) & missing))
            missing -= self.elements(best)
            left.remove(best)
            first.append(best)
        return first + left


@dataclass
class Recipe:
    """How networks are trained and evaluated.

    Attributes:
        config: YAML file.
        steps: steps of each training.
        overrides: further `key=value`.
        quick: random points a crystal in evaluations; None for whole grids.
    """

    config: Path = CONFIG
    steps: int = 4000
    overrides: list[str] = field(default_factory=list)
    quick: int | None = None

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Recipe:
        """Return what `add_options` has read."""
        return cls(arguments.config, arguments.steps, arguments.overrides, arguments.quick)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add what every experiment has."""
    parser.add_argument("data", nargs="+", help="folders of archives of plane waves")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs")
    parser.add_argument("--config", type=Path, default=CONFIG, help="configuration (YAML)")
    parser.add_argument("--steps", type=int, default=4000, help="of each training")
    parser.add_argument("--quick", type=int, help="random points a crystal instead of grids")
    parser.add_argument(
        "--set", dest="overrides", action="append", default=[], metavar="KEY=VALUE",
        help="change of the configuration (repeat)",
    )  # fmt: skip


def trained(
    crystals: Crystals,
    recipe: Recipe,
    folder: Path,
    training: Sequence[int],
    validation: Sequence[int],
    seed: int = 0,
    start: str | Path | None = None,
) -> Path:
    """Train a network, go on with its training, or find it trained.

    Args:
        crystals: the data.
        recipe: how.
        folder: gets `split.json`, the run and, at its end, `trained.json`.
        training, validation: crystals.
        seed: of weights and draws.
        start: a model to go on from.

    Returns:
        The run's folder, which is that of a model.
    """
    done = folder / "trained.json"
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "run"
    names = crystals.data.names
    split = {
        "train": sorted(names[i] for i in training),
        "validation": sorted(names[i] for i in validation),
    }
    described: dict[str, Any] = {
        "steps": recipe.steps,
        "seed": seed,
        "set": recipe.overrides,
        "split": split,
    }
    if start is not None:
        described["start"] = str(start)
    if done.exists():
        if json.loads(done.read_text()) != described:
            raise ConfigurationError(f"{folder} holds another run; name another folder.")
        return run
    write(folder / "split.json", split)
    config = read_config(
        recipe.config,
        [
            f"run_directory={run}",
            f"data.paths={json.dumps(crystals.paths)}",
            f"data.split={folder / 'split.json'}",
            f"seed={seed}",
            f"trainer.max_steps={recipe.steps}",
            f"trainer.validation_interval={max(1, recipe.steps // 8)}",
            *recipe.overrides,
        ],
    )
    print(f"training on {len(training)} crystals: {folder}", flush=True)
    train(config, start_from=start, resume=(run / STATE).exists())
    write(done, described)
    return run


def with_expected_errors(
    crystals: Crystals, run: Path, training: Sequence[int], validation: Sequence[int]
) -> TrainedModel:
    """Return a trained model that knows its errors, from crystals held out of its training."""
    model = load_model(run, "cpu")
    assert model.folder is not None
    if not (model.folder / "uncertainty.safetensors").exists():
        data = crystals.data
        found = fit_error_model(
            model, data.subset(training), data.subset(crystals.known(validation, training))
        )
        save_error_model(found, model.folder)
        model = load_model(run, "cpu")
    return model


def errors(
    crystals: Crystals,
    recipe: Recipe,
    model: TrainedModel,
    indices: Sequence[int],
    path: Path,
    *,
    expected: bool = False,
) -> dict[str, Any]:
    """Return errors on crystals, as measured before or now.

    Args:
        crystals: the data.
        recipe: with how many points.
        model: a trained model.
        indices: crystals of elements that it knows.
        path: JSON file to keep them in.
        expected: compare what was expected with what is true as well.

    Returns:
        `eps_mae` in per cent by name; with `expected` what was `expected` likewise, its `rank`
        correlation and the part `within` the range of 80 %.
    """
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text())
        return found
    measurement = UncertaintyMeasurement(model) if expected else None
    (result,) = evaluate(
        [model], crystals.data.subset(indices), quick=recipe.quick, uncertainty=measurement
    )
    found = {"eps_mae": {row.name: 100 * row.eps_mae for row in result.rows}}
    if measurement is not None:
        rows = measurement.rows
        found["expected"] = {row.name: 100 * row.expected for row in rows}
        found["range"] = {row.name: [100 * row.low, 100 * row.high] for row in rows}
    write(path, found)
    return found


def write(path: Path, content: Any) -> None:
    """Write JSON; it appears whole or not at all."""
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())
