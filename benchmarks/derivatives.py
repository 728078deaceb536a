"""Gradient and Hessian of the density: their cost as multiples of the density's.

    python benchmarks/derivatives.py --threads 1

The paper's network with random weights in the liquid, on a box of its grid: density alone, with its
gradient, and with gradient and Hessian, in compiled code and single precision; and the same by the
route that every architecture has, in torch and double precision, on fewer points. Sides take turns
and the best of several repeats counts, in seconds of processor time. The largest difference between
the two routes is shown as well.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from rich.console import Console
from rich.table import Table

from deepdft.density import Grid
from deepdft.prediction.engine import ProbeEngine
from deepdft.threads import available_threads
from engine import LIQUID, Timing, random_network
from reporting import add_output_option, write_result

WHAT = ("density", "with gradient", "with gradient and Hessian")


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--structure", type=Path, default=LIQUID, help="file that ASE reads")
    parser.add_argument("--spacing", type=float, default=0.1, help="of the grid, Å")
    parser.add_argument("--box", type=int, default=24, help="edge of the box, points")
    parser.add_argument("--torch-box", type=int, default=8, help="of the box of the general route")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="interaction steps T")
    parser.add_argument("--channels", type=int, default=128, help="width F")
    parser.add_argument("--envelope", choices=("published", "smooth"), default="published")
    add_output_option(parser)
    options = parser.parse_args()
    atoms = ase.io.read(options.structure)
    grid = Grid.of_cell(atoms, options.spacing)
    network = random_network(options, atoms)
    double = random_network(options, atoms).double()
    engines = {
        "compiled, float32": ProbeEngine(network, None, atoms, options.threads),
        "any architecture, float64": ProbeEngine(double, None, atoms, options.threads),
    }
    timings: dict[str, list[Timing]] = {name: [Timing() for _ in WHAT] for name in engines}
    boxes = {
        name: tuple(min(edge, n) for n in grid.shape)
        for name, edge in zip(engines, (options.box, options.torch_box), strict=True)
    }
    found = {}
    for repeat in range(options.repeat + 1):
        for name, engine in engines.items():
            for order, timing in enumerate(timings[name]):
                # The first round compiles, or loads what was compiled.
                box = boxes[name] if repeat else (4, 4, 4)
                found[name] = (timing if repeat else Timing()).add(
                    lambda engine=engine, box=box, order=order: engine.box(
                        grid, (0, 0, 0), box, order
                    )
                )
    result: dict[str, Any] = {
        "structure": options.structure.name,
        "threads": options.threads,
        "rows": {
            name: {
                "points": int(np.prod(boxes[name])),
                "probes_per_processor_second": [
                    float(np.prod(boxes[name]) / timing.processor) for timing in of_name
                ],
                "multiples": [timing.processor / of_name[0].processor for timing in of_name],
            }
            for name, of_name in timings.items()
        },
        "differences": differences(*found.values()),
    }
    show(result)
    write_result(options, "derivatives", rows(result), result)


def rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main figures."""
    found = []
    for name, row in result["rows"].items():
        rate, multiples = row["probes_per_processor_second"][0], row["multiples"]
        found += [
            (f"density alone, {name}", f"{rate:,.0f} probes/s a core"),
            (f"with gradient, {name}", f"{multiples[1]:.1f} times the density's time"),
            (f"with gradient and Hessian, {name}", f"{multiples[2]:.1f} times the density's time"),
        ]
    return found


def differences(compiled: Any, general: Any) -> list[float]:
    """Return the largest differences, relative to the largest values."""
    place = tuple(slice(0, n) for n in np.minimum(general[0].shape, compiled[0].shape))
    return [
        float(np.abs(x[place] - y[place]).max() / np.abs(y[place]).max())
        for x, y in zip(compiled, general, strict=True)
    ]


def show(result: dict[str, Any]) -> None:
    """Print everything as a table."""
    console = Console(width=110)
    table = Table(title=f"{result['structure']}, {result['threads']} thread(s), processor time")
    for column in ("", "points", *(f"{what}: probes/s" for what in WHAT), "multiples"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["rows"].items():
        table.add_row(
            name, f"{row['points']:,}",
            *(f"{rate:,.0f}" for rate in row["probes_per_processor_second"]),
            " / ".join(f"{multiple:.1f}" for multiple in row["multiples"]),
        )  # fmt: skip
    console.print(table)
    console.print(
        "largest difference of the two, of the largest value (density, gradient, Hessian): "
        + ", ".join(f"{x:.1e}" for x in result["differences"]),
        highlight=False,
    )


if __name__ == "__main__":
    main()
