"""What expected errors cost: predictions with `--uncertainty` against plain ones, in one run.

    python benchmarks/uncertainty.py

The bundled molecule of 17 atoms at 0.1 Å and four molecules of liquid ethylene carbonate, by the
bundled models: the density on a grid in memory, with and without the expected error at every point,
and what `deepdft predict` does, with and without the second file. Runs of both kinds alternate; the
ratio is that of their shortest times (of processor time, which other work on the machine changes
less).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import ase.io
from ase import Atoms
from rich.console import Console
from rich.table import Table

import deepdft
from deepdft.prediction import choose_grid, predict_to_file
from reporting import add_output_option, write_result

HERE = Path(__file__).parent
MOLECULE = Path(deepdft.__file__).parent / "bundled" / "molecules" / "C6H9NO.xyz"


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--spacing", type=float, default=0.1, help="of the grids, Å")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=5)
    add_output_option(parser)
    arguments = parser.parse_args()
    table = Table()
    for column in ("", "points", "plain / CPU s", "with uncertainty / CPU s", "ratio"):
        table.add_column(column, justify="right" if column else "left")
    figures, rows = {}, []
    for name, path in (
        ("qm9", MOLECULE),
        ("ethylene-carbonate", HERE / "ethylene_carbonate.xyz"),
    ):
        atoms = ase.io.read(path)
        model = deepdft.load_model(name, "cpu")
        model.threads = arguments.threads
        grid = choose_grid(atoms, spacing=arguments.spacing)
        for what, measured in (
            ("in memory", in_memory(atoms, model, grid)),
            ("to a cube file", to_file(atoms, model, grid, ".cube")),
            ("to an npz file", to_file(atoms, model, grid, ".npz")),
        ):
            plain, full = shortest(measured, arguments.repeat)
            ratio = full / plain
            title = f"{atoms.get_chemical_formula()} by {name}, {what}"
            table.add_row(
                title, f"{grid.n_points:,}", f"{plain:.3f}", f"{full:.3f}", f"{ratio:.2f}"
            )
            figures[title] = {"points": grid.n_points, "plain": plain, "uncertainty": full}
            rows.append((title, f"{ratio:.2f} times a plain prediction"))
    Console().print(table)
    write_result(arguments, "uncertainty", rows, figures)


def in_memory(atoms: Atoms, model: deepdft.prediction.TrainedModel, grid: deepdft.Grid) -> Callable:
    """Return what predicts a density, and its expected errors if asked to."""

    def run(uncertainty: bool) -> None:
        if uncertainty:
            _, expected = deepdft.predict(atoms, model, grid=grid, return_uncertainty=True)
            expected.volume(grid)
        else:
            deepdft.predict(atoms, model, grid=grid)

    return run


def to_file(
    atoms: Atoms, model: deepdft.prediction.TrainedModel, grid: deepdft.Grid, suffix: str
) -> Callable:
    """Return what writes a density into a file, and its expected errors if asked to."""

    def run(uncertainty: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"density{suffix}"
            predict_to_file(atoms, path, model, grid, uncertainty=uncertainty)

    return run


def shortest(run: Callable[[bool], None], repeat: int) -> tuple[float, float]:
    """Return the shortest processor times without and with uncertainty, seconds."""
    times: dict[bool, list[float]] = {False: [], True: []}
    for number in range(repeat + 1):
        for uncertainty in (False, True):
            begun = time.process_time()
            run(uncertainty)
            if number:  # the first of each compiles what is not in the cache
                times[uncertainty].append(time.process_time() - begun)
    return min(times[False]), min(times[True])


if __name__ == "__main__":
    main()
