"""Prediction of a molecule as a user runs it: `deepdft predict`, from the command to the file.

    python benchmarks/predict_molecule.py

The bundled molecule of 17 atoms at 0.1 Å, by the bundled model, written as a cube file. Each run is
a process of its own; its time, processor time and largest memory are those the system reports when
it ends. A second command predicts next to no points: what it takes is start-up (imports, the model,
compiled code from the cache), and the difference between the two gives the rate. With an empty
cache, as in a new installation, the same command shows how long compilation takes.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ase.io
from rich.console import Console
from rich.table import Table

import deepdft
from deepdft.prediction import choose_grid
from reporting import add_output_option, write_result

MOLECULE = Path(deepdft.__file__).parent / "bundled" / "molecules" / "C6H9NO.xyz"
COARSE = 2.0
"""Grid spacing of the run that measures start-up, Å."""


@dataclass(frozen=True)
class Run:
    """One finished process: seconds, processor seconds, largest resident memory in MiB.

    `rate` is what the command prints itself: points a second, of encoding, prediction and writing.
    """

    wall: float
    processor: float
    memory: float
    rate: float


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, default=MOLECULE, help="file that ASE reads")
    parser.add_argument("--spacing", type=float, default=0.1, help="of the grid, Å")
    parser.add_argument("--model", help="name or folder of a model")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--repeat", type=int, default=3)
    add_output_option(parser)
    arguments = parser.parse_args()

    atoms = ase.io.read(arguments.structure)
    console = Console()
    table = Table()
    for column in ("spacing / Å", "points", "s", "CPU s", "largest memory / MiB"):
        table.add_column(column, justify="right")
    with tempfile.TemporaryDirectory() as cache:
        first = predict(arguments, COARSE, {"NUMBA_CACHE_DIR": cache})
    runs = {}
    for spacing in (COARSE, arguments.spacing):
        points = choose_grid(atoms, spacing=spacing).n_points
        # The first of these runs compiles what is not in the cache, and does not count.
        finished = [predict(arguments, spacing) for _ in range(arguments.repeat + 1)][1:]
        best = min(finished, key=lambda run: run.processor)
        runs[spacing] = points, best
        table.add_row(
            f"{spacing:g}", f"{points:,}", f"{best.wall:.2f}", f"{best.processor:.2f}",
            f"{best.memory:.0f}",
        )  # fmt: skip
    console.print(f"{arguments.structure.name}: {atoms.get_chemical_formula()}")
    console.print(table)
    (few, start), (many, full) = runs[COARSE], runs[arguments.spacing]
    console.print(
        f"once started: {full.rate:,.0f} points/s; beyond start-up: "
        f"{(many - few) / (full.processor - start.processor):,.0f} points per CPU second, "
        f"{full.memory - start.memory:.0f} MiB\n"
        f"first run of all: {first.wall:.1f} s, {first.processor:.1f} s of processor time",
        highlight=False,
    )
    rows = [
        (f"{many:,} points at {arguments.spacing:g} Å, start-up included", f"{full.wall:.1f} s"),
        ("start-up", f"{start.wall:.1f} s"),
        ("start-up, first run of a new installation (compiles)", f"{first.wall:.1f} s"),
        ("rate once started, with encoding and writing", f"{full.rate:,.0f} points/s"),
        ("largest memory", f"{full.memory:.0f} MiB"),
        ("of it, what depends on the grid", f"{full.memory - start.memory:.0f} MiB"),
    ]
    figures: dict[str, Any] = {"first": asdict(first)}
    figures |= {f"{spacing:g}": {"points": n, **asdict(run)} for spacing, (n, run) in runs.items()}
    write_result(arguments, "predict_molecule", rows, figures)


def predict(
    arguments: argparse.Namespace, spacing: float, variables: dict[str, str] | None = None
) -> Run:
    """Run `deepdft predict` in a process of its own, with additional environment variables."""
    command = [sys.executable, "-m", "deepdft", "predict", str(arguments.structure)]
    command += ["--device", "cpu", "--spacing", str(spacing)]
    if arguments.model:
        command += ["--model", arguments.model]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        process = subprocess.Popen(
            [*command, "-o", str(Path(folder) / "density.cube")],
            env=os.environ | (variables or {}),
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"'{' '.join(command)}' failed.")
    # macOS reports bytes, Linux KiB.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    rates = re.findall(r"([\d,]+) points/s", printed)
    return Run(
        wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit,
        float(rates[-1].replace(",", "")),
    )  # fmt: skip


if __name__ == "__main__":
    main()
