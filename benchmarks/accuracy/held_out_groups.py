"""Does a model notice molecules with groups that it has never seen?

    python benchmarks/accuracy/held_out_groups.py DATA --split DATA/split.json --steps 3000

A model of the bundled configuration is trained, and its error model fitted, without every molecule
that has a carbon atom with two neighbours, an N-O or an N-N bond (`groups.py`). Then the score of
`deepdft predict --uncertainty` is asked of the test part: how well does it tell molecules with such
groups from those without (area under the receiver operating characteristic), and do expected errors
still follow true ones? A second area uses, as molecules with groups, also those that were left out
of the training and validation parts, which this model has never seen either; only the score is
needed for it.

Everything is kept in the output folder; the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from groups import GROUPS, groups_of, without_groups

from deepdft.data import DensityDataset, open_dataset, read_split, split_part
from deepdft.errors import DeepDFTError
from deepdft.evaluation.evaluate import evaluate
from deepdft.models.expected_errors.error_model import FILE, save_error_model
from deepdft.prediction import TrainedModel, load_model
from deepdft.storage.whole_files import replace_file
from deepdft.training import train
from deepdft.training.config import read_config
from deepdft.training.trainer import STATE
from deepdft.uncertainty.fit import fit_error_model
from deepdft.uncertainty.measure import (
    UncertaintyMeasurement,
    area_under_curve,
    rank_correlation,
    write_measurement,
)

CONFIGURATION = Path(__file__).parents[2] / "configs" / "qm9.yaml"


def main() -> None:
    """Do what is left to do, and print what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", nargs="+", help="reference densities of molecules")
    parser.add_argument("--split", required=True, help="JSON file with train, validation and test")
    parser.add_argument("--steps", type=int, default=3000)
    # Larger than that of the configuration, which is for many more steps.
    parser.add_argument("--learning-rate", type=float, default=5.0e-3)
    parser.add_argument("--points", type=int, default=20_000, help="of each test molecule")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("runs/held_out_groups"))
    options = parser.parse_args()
    try:
        print(json.dumps(run(options), indent=1))
    except DeepDFTError as error:
        print(f"held_out_groups.py: {error}", file=sys.stderr)
        sys.exit(2)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return the findings, which `findings.json` keeps as well."""
    dataset = open_dataset(options.data)
    split = options.output / "split.json"
    if not split.exists():
        given = read_split(options.split, dataset)
        _write(split, without_groups(dataset, given, list(GROUPS)))
    model = trained(options, split)
    parts = {name: split_part(split, name, dataset)
             for name in ("train", "validation", "left_out", "test")}  # fmt: skip
    if not (options.output / "model" / "best" / FILE).exists():
        fitted = fit_error_model(model, parts["train"], parts["validation"])
        save_error_model(fitted, options.output / "model" / "best")
    return measured(model, parts, options)


def trained(options: argparse.Namespace, split: Path) -> TrainedModel:
    """Train, go on with an interrupted training, or load the finished model."""
    folder = options.output / "model"
    done = options.output / "trained"
    if not done.exists():
        changes = {
            "run_directory": folder, "data.paths": list(map(str, options.data)),
            "data.split": split, "trainer.max_steps": options.steps,
            "trainer.threads": options.threads, "optimizer.learning_rate": options.learning_rate,
        }  # fmt: skip
        config = read_config(CONFIGURATION, [f"{key}={value}" for key, value in changes.items()])
        train(config, resume=(folder / STATE).exists())
        done.touch()
    model = load_model(folder, "cpu")
    model.threads = options.threads
    return model


def _write(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, (json.dumps(content, indent=1) + "\n").encode())


def measured(
    model: TrainedModel, parts: dict[str, DensityDataset], options: argparse.Namespace
) -> dict[str, Any]:
    """Compare scores and expected errors with what is in the test part."""
    path = options.output / "findings.json"
    if path.exists():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    test = parts["test"]
    measurement = UncertaintyMeasurement(model)
    evaluate([model], test, quick=options.points, uncertainty=measurement)
    write_measurement(options.output, measurement)
    rows = measurement.rows
    groups = [groups_of(test.atoms(i)) for i in range(len(test))]
    has = np.array([bool(found) for found in groups])
    scores = np.array([row.score for row in rows])
    expected = np.array([row.expected for row in rows])
    true = np.array([row.eps_mae for row in rows])
    left_out = parts["left_out"]
    others = np.array([
        model.uncertainty(left_out.atoms(i)).score for i in range(len(left_out))
    ])  # fmt: skip
    more = np.concatenate((scores, others))
    with_groups = np.concatenate((has, np.ones(len(others), dtype=bool)))
    result = {
        "training_molecules": len(parts["train"]),
        "validation_molecules": len(parts["validation"]),
        "test_molecules": {"with groups": int(has.sum()), "without": int((~has).sum())},
        "test_molecules_of_each_group": dict(Counter(name for g in groups for name in g)),
        "area_under_curve": area_under_curve(scores, has),
        "area_of_each_group": {
            name: area_under_curve(scores[chosen], has[chosen])
            for name in GROUPS
            if (chosen := np.array([name in g for g in groups]) | ~has).sum() > (~has).sum()
        },
        "area_with_left_out_molecules_too": area_under_curve(more, with_groups),
        "left_out_molecules": len(others),
        "warned": {
            "test, with groups": float((scores[has] > 1).mean()),
            "test, without": float((scores[~has] > 1).mean()),
            "left out": float((others > 1).mean()),
        },
        "eps_mae_percent": {
            kind: {"true": 100 * float(true[chosen].mean()),
                   "expected": 100 * float(expected[chosen].mean())}
            for kind, chosen in (("with groups", has), ("without", ~has))
        },
        "rank_correlation": rank_correlation(expected, true),
        "rank_correlation_without_groups": rank_correlation(expected[~has], true[~has]),
    }  # fmt: skip
    _write(path, result)
    return result


if __name__ == "__main__":
    main()
