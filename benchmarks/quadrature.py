"""How well the evaluation grid of molecules is converged.

    python benchmarks/quadrature.py DATA --split DATA/split.json:validation

Compares eps_mae on the grid of `deepdft evaluate` (0.1 Å, 5 Å beyond the outermost nuclei) with a
finer one (0.05 Å) and a larger one (7 Å), for the first so many molecules of a dataset of orbitals.
What is evaluated is the superposition of atoms, whose error is as sharp at nuclei and bonds as that
of any model and costs least to compute, or a model with --model.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from deepdft.data import EVALUATION_MARGIN, EVALUATION_SPACING, open_dataset, split_part
from deepdft.evaluation.evaluate import AtomicSuperposition, Predictor, evaluate
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.prediction import load_model

QUADRATURES = {
    "standard": (EVALUATION_SPACING, EVALUATION_MARGIN),
    "finer": (EVALUATION_SPACING / 2, EVALUATION_MARGIN),
    "larger": (EVALUATION_SPACING, EVALUATION_MARGIN + 2.0),
}


def errors_of(index: int, data: str, split: str, model: str | None) -> list[float]:
    """Return eps_mae of one molecule with each quadrature."""
    torch.set_num_threads(1)
    file, _, part = split.rpartition(":")
    dataset = split_part(file, part, open_dataset(data)).subset([index])
    predictor: Predictor
    if model is None:
        name = tables_for_level(dataset.level, dataset.elements())
        predictor = AtomicSuperposition(AtomicDensityTables.load(name))
    else:
        predictor = load_model(model, "cpu")
        predictor.threads = 1
    return [
        evaluate([predictor], dataset, spacing=spacing, margin=margin)[0].rows[0].eps_mae
        for spacing, margin in QUADRATURES.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of orbital archives")
    parser.add_argument("--split", required=True, help="FILE:PART of a JSON split")
    parser.add_argument("--count", type=int, default=20, help="number of molecules")
    parser.add_argument("--model", help="evaluate this model instead of superposed atoms")
    parser.add_argument("--processes", type=int, default=2)
    arguments = parser.parse_args()
    work = partial(errors_of, data=arguments.data, split=arguments.split, model=arguments.model)
    with ProcessPoolExecutor(arguments.processes) as pool:
        errors = 100 * np.array(list(pool.map(work, range(arguments.count))))
    name = arguments.model or "superposed atoms"
    table = Table(title=f"eps_mae / % of {name}, {arguments.count} molecules")
    for column in ("quadrature", "spacing / Å", "margin / Å", "mean", "largest change"):
        table.add_column(column, justify="left" if column == "quadrature" else "right")
    changes = np.abs(errors - errors[:, :1]).max(axis=0)
    for (label, (spacing, margin)), mean, change in zip(
        QUADRATURES.items(), errors.mean(axis=0), changes, strict=True
    ):
        table.add_row(label, f"{spacing}", f"{margin}", f"{mean:.5f}", f"{change:.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
