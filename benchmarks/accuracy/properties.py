"""Errors of properties of predicted densities against those of DFT densities.

    python benchmarks/accuracy/properties.py default DATA --split SPLIT
    python benchmarks/accuracy/properties.py default DATA --split SPLIT --part test --state

Charges (Hirshfeld's), dipole and quadrupole of every structure of a part are taken from the
predicted density and from the DFT density, on the same grid, in the same way. Energies and levels
are those of the data, where they are stored, against one diagonalisation (`--energies`, with
PySCF). `--state` writes the errors into the package, where `deepdft properties` tells them.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.data import DensityDataset, open_dataset, split_part
from deepdft.electronic.charges import charges_and_moments_over
from deepdft.electronic.properties import energies_of
from deepdft.errors import DeepDFTError
from deepdft.fields.reductions.dipole import DEBYE
from deepdft.fields.reductions.quadrupole import COMPONENTS
from deepdft.geometry.grids import choose_grid
from deepdft.prediction import TrainedModel, load_model
from deepdft.storage.whole_files import replace_file

STATED = Path(__file__).parents[2] / "src" / "deepdft" / "electronic" / "accuracy.json"


class Reference:
    """A density of a dataset, slab by slab."""

    def __init__(self, dataset: DensityDataset, index: int) -> None:
        self.dataset, self.index = dataset, index

    def box(self, grid: Any, start: Any, stop: Any) -> Any:
        """Return its values on whole layers along the first axis, e/Å^3."""
        return self.dataset.slab(self.index, grid, start[0], stop[0])


def errors_of(
    model: TrainedModel, dataset: DensityDataset, index: int, spacing: float, energies: bool
) -> dict[str, float]:
    """Return the absolute errors of one structure."""
    atoms = dataset.atoms(index)
    cores = model.core_charges(atoms)
    engine = model.engine(atoms)
    if atoms.pbc.any():
        grid = dataset.grid(index, spacing, 0.0)
    else:
        grid = choose_grid(atoms, spacing=spacing, vacuum=4.0)
    ours, theirs = (
        charges_and_moments_over(field, atoms, model.level, grid, cores)
        for field in (engine, Reference(dataset, index))
    )
    found = {
        "electrons": abs(ours.electrons - ours.expected_electrons),
        "charges": float(np.abs(ours.charges - theirs.charges).mean()),
        "largest_charge": float(np.abs(ours.charges - theirs.charges).max()),
    }
    if ours.dipole is not None and theirs.dipole is not None:
        found["dipole"] = float(np.linalg.norm(ours.dipole - theirs.dipole)) * DEBYE
    if ours.quadrupole is not None and theirs.quadrupole is not None:
        parts = [abs(ours.quadrupole[name] - theirs.quadrupole[name]) for name in COMPONENTS]
        found["quadrupole"] = float(np.mean(parts))
    if energies:
        levels = energies_of(engine)
        if "energy" in atoms.info:
            found["energy"] = abs(levels.energy - float(atoms.info["energy"]))
        if "gap" in atoms.info:
            found["gap"] = abs(levels.gap - float(atoms.info["gap"]))
    return found


def main() -> None:
    """Measure, print and keep what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", help="bundled name or model folder")
    parser.add_argument("data", nargs="+", help="reference densities")
    parser.add_argument("--split", required=True, help="JSON file with train, validation and test")
    parser.add_argument("--part", default="validation")
    parser.add_argument("--limit", type=int, help="of the structures, the first ones of the part")
    parser.add_argument("--spacing", type=float, default=0.15)
    parser.add_argument("--energies", action="store_true")
    parser.add_argument("--state", action="store_true", help="write the errors into the package")
    parser.add_argument("--output", type=Path, help="JSON file with the errors of every structure")
    options = parser.parse_args()
    try:
        measure(options)
    except DeepDFTError as error:
        print(f"properties.py: {error}", file=sys.stderr)
        sys.exit(2)


def measure(options: argparse.Namespace) -> None:
    """Measure one model on one part."""
    dataset = open_dataset(options.data)
    part = split_part(options.split, options.part, dataset)
    model = load_model(options.model, "cpu")
    rows = {}
    for index, name in enumerate(part.names[: options.limit]):
        try:
            rows[name] = errors_of(model, part, index, options.spacing, options.energies)
        except DeepDFTError as error:
            print(f"left out: {name}: {error}", file=sys.stderr)
    names = list(dict.fromkeys(key for row in rows.values() for key in row))
    print(f"{len(rows)} structures of the {options.part} part, model {options.model}")
    means = {}
    for name in names:
        values = np.array([row[name] for row in rows.values() if name in row])
        means[name] = float(values.mean())
        print(
            f"{name:>15}: mean {values.mean():.4g}, median {np.median(values):.4g}, "
            f"largest {values.max():.4g}"
        )
    if options.output is not None:
        replace_file(options.output, json.dumps(rows, indent=1).encode())
    if options.state:
        stated = json.loads(STATED.read_text())
        # The largest error of an atom says nothing of a mean one.
        means.pop("largest_charge", None)
        where = {Path(source).resolve().parent.name if "*" in source else Path(source).name
                 for source in options.data}  # fmt: skip
        stated[options.model] = {
            "errors": {name: float(f"{value:.3g}") for name, value in means.items()},
            "structures": len(rows),
            "data": f"{options.part} part of {', '.join(sorted(where))}",
        }
        replace_file(STATED, (json.dumps(stated, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
