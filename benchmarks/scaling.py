"""Time and peak memory of `deepdft predict big.xyz -o rho.zarr` against the number of atoms.

    python benchmarks/scaling.py                          # 10^3, 10^4 and 10^5 atoms, 0.25 Å
    python benchmarks/scaling.py --sizes 1000 5000 --fraction 0.04 --rounds 1

The cell of liquid ethylene carbonate beside this file is repeated to each size and its atoms moved
a little, so that no two cells are alike. The model is the paper's, with random weights: they do not
change the time. A block is one cell of the liquid. Of the blocks, a fraction is computed, the same
at each size and spread evenly over the structure: every size has the same points per atom. What is
done once for a structure (making the store, encoding the atoms, listing their images) is counted
once, the blocks at the rate measured. Writing the store is included, compilation is not.

Every run has a process of its own; its peak memory includes Python and the libraries. In a round
the smaller sizes are run again after the larger ones, so that a machine that changes its speed
changes it for all; a size's time in a round is the mean of its runs, and the fastest round counts.
Where other programs compete for the processor, the times in seconds of processor time are the ones
to look at.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from deepdft.architectures import create_model
from deepdft.density import Grid
from deepdft.fields.stored import StoredField
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.devices import choose_device
from deepdft.prediction.encoded_store import encode_for, stored_density
from deepdft.prediction.stored_prediction import open_store
from deepdft.prediction.trained_model import TrainedModel
from deepdft.threads import available_threads
from reporting import add_output_option, write_result

LIQUID = Path(__file__).with_name("ethylene_carbonate.xyz")
TILE = 8
"""The points along a cell are a multiple of the edge of the engine's own blocks."""


def main() -> None:
    """Run every size and show a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=float, nargs="+", default=[1e3, 1e4, 1e5], metavar="ATOMS")
    parser.add_argument("--spacing", type=float, default=0.25, help="largest, Å")
    parser.add_argument("--fraction", type=float, default=1 / 9, help="of the blocks")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--folder", type=Path, default=None, help="for the store, removed at once")
    parser.add_argument("--rounds", type=int, default=2)
    add_output_option(parser)
    parser.add_argument("--one", type=float, default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measure(options.one, options)))
        return
    sizes = sorted(options.sizes)
    runs: dict[float, list[list[dict[str, Any]]]] = {size: [] for size in sizes}
    for number in range(options.rounds):
        for of_size in runs.values():
            of_size.append([])
        # 1 2 3, 1 2, 1
        for size in (size for last in range(len(sizes), 0, -1) for size in sizes[:last]):
            command = [sys.executable, __file__, *sys.argv[1:], "--one", str(size)]
            found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            runs[size][-1].append(json.loads(found.stdout))
            print(f"round {number + 1}: {size:,.0f} atoms done", file=sys.stderr)
    measurements = [combined(of_size) for of_size in runs.values()]
    show(measurements, options)
    write_result(options, "scaling", rows(measurements), measurements)


def combined(rounds: list[list[dict[str, Any]]]) -> dict[str, Any]:
    """Return one measurement of a size: of each clock the fastest round, its runs' mean."""
    result = dict(rounds[0][0])
    for clock in ("wall", "processor"):
        means = [
            {
                stage: float(np.mean([run[clock][stage] for run in of_round]))
                for stage in result[clock]
            }
            for of_round in rounds
        ]
        result[clock] = min(means, key=lambda mean: whole(result | {clock: mean}, clock))
    result["peak_gib"] = max(run["peak_gib"] for of_round in rounds for run in of_round)
    result["runs"] = sum(map(len, rounds))
    return result


def measure(size: float, options: argparse.Namespace) -> dict[str, Any]:
    """Predict into a store for one size of the liquid."""
    cell = ase.io.read(LIQUID)
    assert isinstance(cell, Atoms)
    repeats = repeats_for(size / len(cell))
    atoms = cell.repeat(repeats)
    atoms.rattle(0.02, seed=0)
    edge = float(cell.cell.lengths().max())
    along_cell = TILE * int(np.ceil(edge / options.spacing / TILE - 1e-9))
    a, b, c = (along_cell * n for n in repeats)
    grid = Grid(np.asarray(atoms.cell), (a, b, c))
    torch.manual_seed(0)
    architecture = {"steps": options.steps, "channels": options.channels}
    network = create_model("deepdft", architecture, sorted(set(cell.numbers.tolist())))
    network.eval().requires_grad_(False)
    model = TrainedModel(Checkpoint.of_network(network, LevelOfTheory()), "random weights")
    model.to(choose_device(options.device))
    model.threads = options.threads
    model.warm_up()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        # Compiles what is left to compile: encoding and the codecs of the store.
        warm, warm_grid = cell.copy(), Grid(np.asarray(cell.cell), (TILE, TILE, TILE))
        run(warm, Path(folder) / "warm.zarr", model, warm_grid, TILE**3, 1.0)
        result = run(atoms, Path(folder) / "rho.zarr", model, grid, along_cell**3, options.fraction)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "atoms": len(atoms),
        "spacing": float(np.linalg.norm(grid.voxel, axis=1).max()),
        **result,
        # In bytes on macOS, in kB elsewhere.
        "peak_gib": peak / (1 << 30 if sys.platform == "darwin" else 1 << 20),
    }


def run(
    atoms: Atoms, path: Path, model: TrainedModel, grid: Grid, block_points: int, fraction: float
) -> dict[str, Any]:
    """Make a store and fill a part of it, timing the stages by wall clock and by processor."""
    seconds: dict[str, tuple[float, float]] = {}

    def timed(stage: str, work: Callable[[], Any]) -> Any:
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        seconds[stage] = (time.perf_counter() - wall, time.process_time() - processor)
        return result

    store = timed("create", lambda: open_store(atoms, path, model, grid, block_points))
    timed("encode", lambda: encode_for(store, model))
    total = store.n_chunks
    count = max(1, round(total * fraction))
    chosen = [int((i + 0.5) * total / count) for i in range(count)]

    def open_field() -> StoredField:
        field = stored_density(store, model)
        for _ in range(2):  # the engine lists the images of all atoms for the second block
            field._field.walk.grid_search(grid, (0, 0, 0), (1, 1, 1))
        return field

    field = timed("open", open_field)
    timed("fill", lambda: field.walk(chosen))
    return {
        "blocks": total,
        "filled": count,
        "points": sum(store.n_points(block) for block in chosen),
        "wall": {stage: pair[0] for stage, pair in seconds.items()},
        "processor": {stage: pair[1] for stage, pair in seconds.items()},
    }


def repeats_for(cells: float) -> tuple[int, int, int]:
    """Return three near-equal factors whose product is near `cells`."""
    edge = max(1, round(cells ** (1 / 3)))
    candidates = [
        (a, b, c)
        for a in range(max(1, edge - 1), edge + 2)
        for b in range(a, edge + 2)
        for c in range(b, edge + 2)
    ]
    # Of those within 10 % the most cubic one; else the nearest.
    return min(
        candidates,
        key=lambda n: (
            max(abs(np.prod(n) / cells - 1), 0.1),
            n[2] - n[0],
            abs(np.prod(n) - cells),
        ),
    )


def whole(measurement: dict[str, Any], clock: str) -> float:
    """Return the seconds for the whole grid: what is done once, all blocks at the rate measured."""
    seconds = measurement[clock]
    share = measurement["filled"] / measurement["blocks"]
    once = sum(seconds[stage] for stage in ("create", "encode", "open"))
    return float(once + seconds["fill"] / share)


def exponent(measurements: list[dict[str, Any]], clock: str) -> float:
    """Return the fitted exponent of time against atoms."""
    sizes = np.log([m["atoms"] for m in measurements])
    return float(np.polyfit(sizes, np.log([whole(m, clock) for m in measurements]), 1)[0])


def rows(measurements: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the main figures."""
    found = []
    for m in measurements:
        wall, processor = (1e3 * whole(m, clock) / m["atoms"] for clock in ("wall", "processor"))
        found.append(
            (
                f"{m['atoms']:,} atoms, {m['points'] / m['filled'] * m['blocks']:,.0f} points",
                f"{processor:.2f} ms of processor time and {wall:.2f} ms an atom, "
                f"{m['peak_gib']:.2f} GiB at most",
            )
        )
    if len(measurements) > 1:
        per_atom = [whole(m, "processor") / m["atoms"] for m in measurements]
        found += [
            ("largest to smallest time per atom", f"{max(per_atom) / min(per_atom):.3f}"),
            ("processor time grows as atoms to the", f"{exponent(measurements, 'processor'):.3f}"),
        ]
    return found


def show(measurements: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Print the table and the fitted exponents."""
    console = Console(width=140)
    table = Table(
        title=f"liquid ethylene carbonate, T = {options.steps}, F = {options.channels}, "
        f"{options.threads} thread(s) on {options.device}, {measurements[0]['spacing']:.3f} Å"
    )
    for heading in (
        "atoms", "runs", "blocks", "filled", "points/atom", "encode, s", "fill, s", "points/s",
        "whole grid, ms/atom", "of processor time", "peak memory, GiB",
    ):  # fmt: skip
        table.add_column(heading, justify="right")
    for m in measurements:
        table.add_row(
            f"{m['atoms']:,}", str(m["runs"]), f"{m['blocks']:,}", f"{m['filled']:,}",
            f"{m['points'] / m['atoms']:.0f}", f"{m['wall']['encode']:.2f}",
            f"{m['wall']['fill']:.2f}", f"{m['points'] / m['wall']['fill']:,.0f}",
            f"{1e3 * whole(m, 'wall') / m['atoms']:.2f}",
            f"{1e3 * whole(m, 'processor') / m['atoms']:.2f}", f"{m['peak_gib']:.2f}",
        )  # fmt: skip
    console.print(table)
    if len(measurements) > 1:
        for clock in ("wall", "processor"):
            console.print(f"time ({clock}) grows as atoms^{exponent(measurements, clock):.3f}")


if __name__ == "__main__":
    main()
