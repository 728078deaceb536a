"""Turn a finished run into a bundled model with its card.

    python recipes/models/bundle.py runs/qm9 default \\
        --test evaluation/default/summary.json --minutes 80

Then it learns which errors to expect (docs/uncertainty.md):

    deepdft uncertainty qm9 DATA --train DATA/split.json:train \\
        --split DATA/split.json:validation

Given again with `--test`, it adds to the card what was measured; all else stays.
The card's errors come from the summary that `deepdft evaluate -o` wrote on the test split; nothing
is computed or chosen here. A model that is still in training has none: its test part is measured
once, at the end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import atomic_numbers

import deepdft
from deepdft.architectures import create_model
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import in_half_precision, load_checkpoint, save_checkpoint
from deepdft.models.networks import transfer_weights
from deepdft.prediction import TrainedModel

ROOT = Path(__file__).resolve().parents[2]
BUNDLED = ROOT / "src" / "deepdft" / "bundled" / "models"
BITS = 28
"""Of the mantissa of an atomic table's numbers; a double has 52."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run directory")
    parser.add_argument("name", help="name of the bundled model")
    parser.add_argument("--test", type=Path, help="summary.json on the test split, once measured")
    parser.add_argument("--minutes", type=float, required=True, help="training time")
    parser.add_argument("--hardware", default="one CPU core", help="what it was trained on")
    parser.add_argument("--card", type=Path, required=True, help="JSON: description, data, ...")
    arguments = parser.parse_args()

    checkpoint = load_checkpoint(arguments.run / "best")
    found = checkpoint.card
    given = json.loads(arguments.card.read_text())
    training = without_places(found["training"])
    configuration = training.pop("configuration")
    checkpoint.card = {
        **given,
        **({} if arguments.test is None else {"test": measured(arguments.test)}),
        "validation": found["validation"],
        # Data of a single composition do not tell how the electrons are shared out.
        "electrons": given.get("electrons") or found["electrons"],
        "training": {
            **training,
            "minutes": arguments.minutes,
            "hardware": arguments.hardware,
            "configuration": configuration,
        },
    }
    checkpoint = of_its_elements(checkpoint)
    kept = shortened(checkpoint)
    kept.electron_shapes = known_shapes(kept, BUNDLED / arguments.name)
    save_checkpoint(kept, BUNDLED / arguments.name)
    print(f"written {BUNDLED / arguments.name}")
    print(f"half precision changes {' '.join(difference(checkpoint, kept))}")


def of_its_elements(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model of the elements of its data; one that was fine-tuned brings more with it."""
    own = [symbol for symbol in checkpoint.symbols if symbol in checkpoint.card["electrons"]]
    if own == checkpoint.symbols:
        return checkpoint
    network = create_model(
        checkpoint.architecture,
        checkpoint.options.model_dump(),
        [atomic_numbers[symbol] for symbol in own],
    )
    transfer_weights(checkpoint.network, network)
    return Checkpoint.of_network(
        network, checkpoint.level, checkpoint.baseline, checkpoint.card, checkpoint.tables
    )


def shortened(checkpoint: Checkpoint) -> Checkpoint:
    """Return a model with weights in half precision and atomic tables of nine digits.

    That is half as much to keep.
    """
    tables = None if checkpoint.tables is None else of_nine_digits(checkpoint.tables)
    return replace(checkpoint, weights=in_half_precision(checkpoint.weights), tables=tables)


def known_shapes(checkpoint: Checkpoint, folder: Path) -> AtomicDensityTables | None:
    """Return where electrons are corrected, if the folder has this model already."""
    if not folder.exists():
        return None
    before = load_checkpoint(folder)
    same = before.weights.keys() == checkpoint.weights.keys() and all(
        np.array_equal(before.weights[name], array) for name, array in checkpoint.weights.items()
    )
    return before.electron_shapes if same else None


def difference(before: Checkpoint, after: Checkpoint) -> tuple[str, str]:
    """Return the first example that a model knows, and how much its density changes."""
    models = [TrainedModel(checkpoint, "") for checkpoint in (before, after)]
    atoms = next(each for each in examples() if set(each.symbols) <= set(before.symbols))
    first, second = (
        deepdft.predict(atoms, model, spacing=0.2, exact_electrons=False).values for model in models
    )
    return str(atoms.symbols), f"by {100 * np.abs(second - first).sum() / first.sum():.4f} %"


def examples() -> Iterator[Atoms]:
    """Yield a molecule, a liquid, a crystal and a cathode."""
    yield from ase.io.iread(BUNDLED.parent / "molecules" / "C6H9NO.xyz")
    yield from ase.io.iread(ROOT / "benchmarks" / "ethylene_carbonate.xyz")
    yield bulk("MgO", "rocksalt", a=4.21)
    yield from ase.io.iread(ROOT / "recipes" / "cathode" / "cathode.extxyz", index="0")


def of_nine_digits(tables: AtomicDensityTables) -> AtomicDensityTables:
    """Return tables which, compressed, are a third smaller, and as good."""
    dropped = np.uint64(52 - BITS)
    numbers = np.array(tables.knots, dtype=np.float64).view(np.uint64)
    half = np.uint64(1) << (dropped - np.uint64(1))
    return replace(tables, knots=((numbers + half) >> dropped << dropped).view(np.float64))


def measured(path: Path) -> dict[str, Any]:
    """Return what a card says of errors on the test part, from an evaluation's summary."""
    summary = json.loads(path.read_text())
    errors = summary["eps_mae"]
    return {
        "structures": summary["count"],
        "eps_mae_percent": round(errors["mean"], 4),
        "standard_error_percent": round(errors["standard_error"], 4),
        "median_percent": round(errors["median"], 4),
        "max_percent": round(errors["max"], 4),
        "mean_absolute_electron_error": round(summary["mean_absolute_differences"]["electrons"], 4),
    }


def without_places(training: dict[str, Any]) -> dict[str, Any]:
    """Return what a card says of a training, and of those before it, without where data lay."""
    result = dict(training)
    if "configuration" in training:
        places = ("run_directory", "data")
        result["configuration"] = {
            key: value for key, value in training["configuration"].items() if key not in places
        }
    if "started_from" in training:
        start = training["started_from"]
        place = Path(start["model"])
        name = place.parent.name if place.name == "best" else place.name
        result["started_from"] = {
            **start, "model": name, "training": without_places(start["training"])
        }  # fmt: skip
    return result


if __name__ == "__main__":
    main()
