"""What tabulating the filters changes in the density, against filters evaluated on every edge.

    python benchmarks/table_error.py

The paper's network with random weights in the liquid, and the bundled models in the bundled
molecule: largest difference over random points within 2 Å of an atom, in double precision, for
several distances between the knots; and beside it what single precision changes at the distance
that predictions use.
"""

from __future__ import annotations

import argparse
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from deepdft.architectures.base import DensityModel
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import FloatArray
from deepdft.kernels.autograd.tables import DEFAULT_SPACING
from deepdft.models.bundled import bundled_models
from deepdft.prediction import load_model
from deepdft.prediction.engine import ProbeEngine
from engine import LIQUID, random_network
from predict_molecule import MOLECULE
from reporting import add_output_option, write_result

SPACINGS = (0.01, 0.02, 0.04)


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--points", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=6, help="interaction steps T")
    parser.add_argument("--channels", type=int, default=128, help="width F")
    parser.add_argument("--envelope", choices=("published", "smooth"), default="published")
    add_output_option(parser)
    options = parser.parse_args()
    liquid, molecule = ase.io.read(LIQUID), ase.io.read(MOLECULE)
    cases = {"random weights": (random_network(options, liquid), liquid)}
    for name in bundled_models():
        network = load_model(name, "cpu").network
        known = set(molecule.numbers) <= set(network.elements)
        cases[name] = (network, molecule if known else liquid)
    result = {
        name: errors(network, atoms, options.points) for name, (network, atoms) in cases.items()
    }
    table = Table(title="largest change of the density, e/Å³")
    for column in ("", *(f"knots {spacing} Å apart" for spacing in SPACINGS), "float32", "largest"):
        table.add_column(column, justify="right" if column else "left")
    rows = []
    for name, found in result.items():
        numbers = [*found["tables"].values(), found["float32"], found["largest_density"]]
        table.add_row(name, *(f"{number:.1e}" for number in numbers))
        in_use = found["tables"][str(DEFAULT_SPACING)]
        rows += [
            (f"{name}: largest change by the table, float64", f"{in_use:.1e} e/Å³"),
            (f"{name}: largest change by float32", f"{found['float32']:.1e} e/Å³"),
        ]
    Console(width=110).print(table)
    write_result(options, "table_error", rows, result)


def errors(network: DensityModel, atoms: Atoms, count: int) -> dict[str, Any]:
    """Return the largest changes of a network's density near the atoms of a structure."""
    rng = np.random.default_rng(0)
    points = atoms.positions[rng.integers(len(atoms), size=count)]
    points = points + rng.uniform(-1.15, 1.15, (count, 3))
    single = density(network.float(), atoms, points)
    network.double().settings = EvaluationSettings(filters="direct")
    exact = density(network, atoms, points)
    network.settings = EvaluationSettings(filters="tabulated")
    found = {}
    for spacing in SPACINGS:
        network.settings = EvaluationSettings(table_spacing=spacing)
        found[str(spacing)] = float(np.abs(density(network, atoms, points) - exact).max())
    return {
        "tables": found,
        "float32": float(np.abs(single - exact).max()),
        "largest_density": float(np.abs(exact).max()),
    }


def density(network: DensityModel, atoms: Atoms, points: FloatArray) -> FloatArray:
    """Return what the network alone predicts."""
    with torch.inference_mode():
        return ProbeEngine(network, None, atoms).at(points)


if __name__ == "__main__":
    main()
