"""Errors on liquid ethylene carbonate by packing, with the error bar over packings.

    deepdft evaluate ethylene-carbonate runs/ethylene_carbonate.store \\
        --split $DATA/split.json:test --baseline atoms -o docs/evaluation/ethylene_carbonate
    python recipes/ethylene_carbonate/packing_errors.py \\
        docs/evaluation/ethylene_carbonate/structures.csv

Frames of one packing are related; only packings are independent.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections import defaultdict
from pathlib import Path
from statistics import mean, stdev


def main() -> None:
    """Print one line for each predictor."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("structures", type=Path, help="structures.csv of deepdft evaluate")
    path = parser.parse_args().structures
    errors: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            packing = row["name"].split("_")[1]
            errors[row["predictor"]][packing].append(100 * float(row["eps_mae"]))
    for predictor, by_packing in errors.items():
        means = {packing: mean(values) for packing, values in by_packing.items()}
        bar = stdev(means.values()) / math.sqrt(len(means))
        each = ", ".join(f"packing {packing} {value:.3f}" for packing, value in means.items())
        print(f"{predictor}: {mean(means.values()):.3f} +- {bar:.3f} % ({each})")


if __name__ == "__main__":
    main()
