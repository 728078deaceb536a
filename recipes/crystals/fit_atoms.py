"""Fit one spherical density an element to crystals' densities, on the training part alone.

    python recipes/crystals/fit_atoms.py DATA src/deepdft/fields/atoms/pbe-pseudodojo-80ry.npz

DATA is a folder of archives of plane waves with `split.json`. Several strengths of smoothing are
tried (five minutes); the one with the smallest error on the validation part is kept.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from ase.data import chemical_symbols

from deepdft.data import DensityDataset, open_dataset, split_part
from deepdft.density import Density
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.fit import fit_tables

SMOOTHING = (1e-8, 1e-6, 1e-5)
POINTS = 3000


def densities(data: DensityDataset) -> Iterator[Density]:
    """Yield every density of a dataset."""
    return (data.on_grid(index) for index in range(len(data.names)))


def errors(tables: AtomicDensityTables, data: DensityDataset) -> np.ndarray:
    """Return eps_mae (eq. 7) of the superposition for each density."""
    found = []
    for density in densities(data):
        superposed = tables.on_grid(density.atoms, density.grid).values
        difference = np.abs(superposed - density.values).sum()
        found.append(difference / np.abs(density.values).sum())
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of archives of plane waves")
    parser.add_argument("path", type=Path, help="file to write, .npz")
    arguments = parser.parse_args()
    data = open_dataset(arguments.data)
    training = split_part(arguments.data / "split.json", "train", data)
    validation = split_part(arguments.data / "split.json", "validation", data)
    symbols = [chemical_symbols[number] for number in training.elements()]
    best: tuple[float, AtomicDensityTables] | None = None
    for smoothing in SMOOTHING:
        tables = fit_tables(
            densities(training), symbols, training.level, smoothing=smoothing, points=POINTS,
            source=(
                f"Fitted to {len(training.names)} crystals by recipes/crystals/fit_atoms.py, "
                f"smoothing {smoothing:g}; spherical, not neutral atoms."
            ),
        )  # fmt: skip
        found = errors(tables, validation)
        print(
            f"smoothing {smoothing:g}: validation eps_mae mean {100 * found.mean():.2f} %, "
            f"median {100 * np.median(found):.2f} %"
        )
        if best is None or found.mean() < best[0]:
            best = float(found.mean()), tables
    assert best is not None
    best[1].save(arguments.path)
    print(f"written: {arguments.path} ({len(symbols)} elements)")


if __name__ == "__main__":
    main()
