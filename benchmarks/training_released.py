"""Training steps against the authors' released code: same data, machine and threads, in one run.

    git clone https://github.com/peterbjorgensen/DeepDFT released
    python benchmarks/training_released.py released

The released code's step is that of its `runner.py`: 2 structures with 1000 random grid points each
(drawn, their edges found and collated by its own functions), forward, mean squared error,
backward, Adam. On a CPU its batches are made in this process instead of four workers, so that both
sides have the same threads; with `--accelerator gpu` four workers make them, as there, which here
never have to be started again, and `--workers` threads make ours. Its SchNet form has T = 6, its
PaiNN form T = 3, F = 128 and the cutoff 4 Å, as its README says. Where the package asap3 is
missing, its neighbour lists come from this package (compiled; the column "data" says what drawing,
edges and collation cost).

This package's step is the one of `deepdft train`: its batches, Lightning module and trainer with
as many structures and probes and the same loss. Clipping of gradients is off on both sides; the
moving average of the weights, which the released code lacks, is included.

Densities are in memory on both sides: reading from disk is left out. Without `--data` they are
superposed atoms around displaced copies of a structure, for what a value is does not matter to the
time. Validation and compilation are left out. Sides take turns; the median step counts. On a CPU
ratios are those of processor time, which other programs hardly change; on a GPU those of the clock,
read after the GPU has finished a step.
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytorch_lightning
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, RandomSampler

from deepdft.architectures import create_model
from deepdft.data import open_dataset
from deepdft.data.grid_dataset import GridDataset
from deepdft.density import Density, Grid
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.fields.walk import density_on
from deepdft.training.batches import BatchBuilder, ProbeBatch, TrainingBatches
from deepdft.training.config import OptimizerConfig, SamplingConfig, TrainerConfig
from deepdft.training.module import DensityTraining
from deepdft.training.trainer import drawing_threads
from engine import LIQUID
from released_code import load_released_code
from reporting import add_output_option, write_result

CUTOFF = 4.0
STRUCTURES, PROBES = 2, 1000
RELEASED_WORKERS = 4
"""Processes of the released `runner.py` that make its batches."""

WARM_UP = 2
"""Steps before those that count: compilation, memory."""

THEIRS = {"SchNet code": "DensityModel", "PaiNN code": "PainnDensityModel"}
STEPS = {"SchNet code": 6, "PaiNN code": 3}
"""The released networks: their classes, and T."""

OURS: dict[str, tuple[str, dict[str, Any], str]] = {
    "released-schnet": ("SchNet code", {}, "none"),
    "deepdft": ("SchNet code", {}, "none"),
    "released-painn": ("PaiNN code", {}, "none"),
    "equivariant": ("PaiNN code", {"degree": 4, "fields": [64, 64, 32, 32, 32]}, "atoms"),
}
"""Architectures, with the released network each is compared with, options and baseline."""


@dataclass
class Times:
    """Seconds of each step that counts, by the clock and of the processor."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    data: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | None]:
        """Return medians and rates; what data took is not known where workers made them."""
        wall, processor = float(np.median(self.wall)), float(np.median(self.processor))
        return {
            "steps": len(self.wall),
            "seconds": wall,
            "processor_seconds": processor,
            "data_processor_seconds": float(np.median(self.data)) if self.data else None,
            "structures_per_second": STRUCTURES / wall,
            "probes_per_second": STRUCTURES * PROBES / wall,
            "probes_per_processor_second": STRUCTURES * PROBES / processor,
        }


class ReleasedTraining:
    """Training as the released `runner.py` does it.

    Args:
        code: modules of the released code.
        name: which network.
        densities: what to train on.
        device: where it trains.
    """

    def __init__(
        self, code: dict[str, Any], name: str, densities: list[Density], device: torch.device
    ) -> None:
        torch.manual_seed(0)
        self.device = device
        self.network = getattr(code["densitymodel"], THEIRS[name])(STEPS[name], 128, CUTOFF)
        self.network.to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.0001)
        self.criterion = torch.nn.MSELoss()
        self.collate = code["dataset"].CollateFuncRandomSample(CUTOFF, PROBES, pin_memory=False)
        positions = code["dataset"]._calculate_grid_pos
        self.samples = [
            {
                "density": d.values,
                "atoms": d.atoms,
                "grid_position": positions(d.values, d.grid.origin, d.grid.cell),
            }
            for d in densities
        ]
        workers = 0 if device.type == "cpu" else RELEASED_WORKERS
        sampler = RandomSampler(self.samples, replacement=True, num_samples=1_000_000)
        self.batches = iter(
            DataLoader(
                self.samples, STRUCTURES, sampler=sampler, collate_fn=self.collate,
                num_workers=workers, multiprocessing_context="fork" if workers else None,
            )
        )  # fmt: skip

    def run(self, steps: int, times: Times) -> None:
        """Do some steps."""
        for _ in range(steps):
            wall, processor = time.perf_counter(), time.process_time()
            batch = next(self.batches)
            if self.device.type == "cpu":
                times.data.append(time.process_time() - processor)
            self.step({k: v.to(self.device, non_blocking=True) for k, v in batch.items()})
            finish(self.device)
            times.wall.append(time.perf_counter() - wall)
            times.processor.append(time.process_time() - processor)

    def step(self, batch: dict[str, Any]) -> None:
        """Do one step."""
        self.optimizer.zero_grad()
        loss = self.criterion(self.network(batch), batch["probe_target"])
        loss.backward()
        self.optimizer.step()


def finish(device: torch.device) -> None:
    """Wait until a GPU has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class TimedBatches(TrainingBatches):
    """The batches of training, with the time that making each takes where no thread does it."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seconds: list[float] = []

    def batch(self, step: int) -> ProbeBatch:
        """Return the batch of one step."""
        begun = time.process_time()
        batch = super().batch(step)
        self.seconds.append(time.process_time() - begun)
        return batch


class Clock(pytorch_lightning.Callback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self.ends: list[tuple[float, float]] = []

    def on_train_batch_end(
        self, trainer: pytorch_lightning.Trainer, *arguments: Any, **named: Any
    ) -> None:
        """Note the time."""
        finish(trainer.strategy.root_device)
        self.ends.append((time.perf_counter(), time.process_time()))


class OwnTraining:
    """Training as `deepdft train` does it.

    Args:
        name: the architecture.
        densities: what to train on.
        options: Lightning's accelerator, and threads that draw the probes of the next steps.
    """

    def __init__(self, name: str, densities: list[Density], options: TrainerConfig) -> None:
        torch.manual_seed(0)
        self.options = options
        _, options, baseline = OURS[name]
        level = densities[0].level
        dataset = GridDataset(
            [str(i) for i in range(len(densities))], level, lambda path: densities[int(path)]
        )
        elements = dataset.elements()
        tables = None
        if baseline == "atoms":
            tables = AtomicDensityTables.load(tables_for_level(level, elements))
        network = create_model(name, options, elements)
        self.module = DensityTraining(network, OptimizerConfig(), 1_000_000)
        self.builder = BatchBuilder(
            dataset, network.cutoff, tables, directions=network.architecture.uses_directions,
            atom_cutoff=network.atom_cutoff, reach=network.sampling_reach,
        )  # fmt: skip
        self.sampling = SamplingConfig(structures=STRUCTURES, probes=PROBES)

    def run(self, steps: int, times: Times) -> None:
        """Do some steps, of which the first `WARM_UP` do not count."""
        batches = TimedBatches(self.builder, self.sampling, 0, steps + WARM_UP)
        clock = Clock()
        trainer = pytorch_lightning.Trainer(
            max_steps=steps + WARM_UP, accelerator=self.options.accelerator, callbacks=[clock],
            logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False,
        )  # fmt: skip
        batches.workers = drawing_threads(self.options, trainer)
        trainer.fit(self.module, DataLoader(batches, batch_size=None))
        differences = np.diff(clock.ends, axis=0)[WARM_UP - 1 :]
        times.wall += differences[:, 0].tolist()
        times.processor += differences[:, 1].tolist()
        times.data += batches.seconds[WARM_UP:]


def superposed_densities(structure: Atoms, count: int, spacing: float) -> list[Density]:
    """Return superposed atoms around displaced copies of a structure."""
    tables = AtomicDensityTables.load("pbe-dzvp-molopt-sr-gth")
    generator = np.random.default_rng(0)
    found = []
    for _ in range(count):
        atoms = structure.copy()
        atoms.positions += generator.normal(0.0, 0.05, atoms.positions.shape)
        grid = Grid.of_cell(atoms, spacing) if atoms.pbc.all() else Grid.around(atoms, spacing, 4.0)
        found.append(density_on(SuperposedAtoms(tables, atoms), grid))
    return found


def given_densities(paths: list[str], count: int, spacing: float) -> list[Density]:
    """Return the first densities of data, molecules on a grid of `spacing` around them."""
    dataset = open_dataset(paths)
    return [dataset.on_grid(i, spacing, margin=4.0) for i in range(min(count, len(dataset)))]


def in_cells(densities: list[Density]) -> list[Density]:
    """Give molecules the cell of their grid, from which the released code makes its points."""
    for density in densities:
        if not density.atoms.pbc.all():
            density.atoms.set_cell(density.grid.cell)
    return densities


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Lightning's hints about loaders and loggers."""
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("released", type=Path, help="clone of the released code's repository")
    parser.add_argument("--data", nargs="+", help="reference densities, as deepdft train takes")
    parser.add_argument("--structure", type=Path, default=LIQUID, help="else: file that ASE reads")
    parser.add_argument("--structures", type=int, default=4, help="how many different ones")
    parser.add_argument("--spacing", type=float, default=0.15, help="of the grid, Å")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="of this package, in each round")
    parser.add_argument("--released-steps", type=int, default=1, help="likewise")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument(
        "--workers", type=int, help="threads that draw our probes; default: as in training"
    )
    add_output_option(parser)
    options = parser.parse_args()

    code, neighbours = load_released_code(options.released, ("densitymodel", "dataset"))
    torch.set_num_threads(options.threads)
    device = torch.device("cuda" if options.accelerator == "gpu" else "cpu")
    training = TrainerConfig(accelerator=options.accelerator, workers=options.workers)
    densities = in_cells(
        given_densities(options.data, options.structures, options.spacing)
        if options.data
        else superposed_densities(
            ase.io.read(options.structure), options.structures, options.spacing
        )
    )
    sides: dict[str, tuple[Callable[[int, Times], None], int]] = {}
    for name in THEIRS:
        theirs = ReleasedTraining(code, name, densities, device)
        theirs.run(WARM_UP, Times())
        sides[name] = (theirs.run, options.released_steps)
    for name in OURS:
        own = OwnTraining(name, densities, training)
        sides[name] = (own.run, options.steps)
    times = {name: Times() for name in sides}
    with quiet():
        for _ in range(options.rounds):
            for name, (run, steps) in sides.items():
                run(steps, times[name])
    result = summary(times, densities, neighbours, options)
    show(result)
    write_result(options, "training_released", rows(result), result)


def summary(
    times: dict[str, Times], densities: list[Density], neighbours: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Return all numbers."""
    figures: dict[str, dict[str, Any]] = {name: found.figures() for name, found in times.items()}
    rate = rate_of(options.accelerator)
    for row in figures.values():
        for name in THEIRS:
            row[f"times {name}"] = row[rate] / figures[name][rate]
    counts = [len(density.atoms) for density in densities]
    formula = densities[0].atoms.get_chemical_formula()
    what = f"first {len(counts)} of the data" if options.data else f"{len(counts)} x {formula}"
    return {
        "structures": what,
        "atoms": [min(counts), max(counts)],
        "threads": options.threads,
        "accelerator": options.accelerator,
        "neighbour_lists_of_released_code": neighbours,
        "steps": figures,
    }


def rate_of(accelerator: str) -> str:
    """Return which rate ratios are of."""
    return "probes_per_second" if accelerator == "gpu" else "probes_per_processor_second"


def rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main figures."""
    found = []
    unit = "GPU" if result["accelerator"] == "gpu" else "core"
    for name, row in result["steps"].items():
        rate = f"{row[rate_of(result['accelerator'])]:,.0f} probes/s a {unit}"
        if name in THEIRS:
            found.append((f"released {name}, T = {STEPS[name]}", rate))
        else:
            other = OURS[name][0]
            found.append((name, f"{rate}, {row[f'times {other}']:.1f} times the {other}"))
    by = result["neighbour_lists_of_released_code"]
    return [*found, ("neighbour lists of the released code", f"by {by}")]


def show(result: dict[str, Any]) -> None:
    """Print everything as a table."""
    console = Console(width=118)
    low, high = result["atoms"]
    by = result["neighbour_lists_of_released_code"]
    console.print(
        f"{result['structures']} ({low} to {high} atoms); {STRUCTURES} x {PROBES} probes a step; "
        f"{result['accelerator']}, {result['threads']} thread(s); densities in memory; medians of "
        f"a step; neighbour lists of the released code by {by}",
        highlight=False,
    )
    table = Table()
    titles = ("", "s", "CPU s", "of it data", "structures/s", "probes/s", "probes/CPU s")
    for column in (*titles, *(f"x {name.removesuffix(' code')}" for name in THEIRS)):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["steps"].items():
        data = row["data_processor_seconds"]
        table.add_row(
            f"released {name}" if name in THEIRS else name,
            f"{row['seconds']:.3f}", f"{row['processor_seconds']:.3f}",
            "-" if data is None else f"{data:.3f}", f"{row['structures_per_second']:.2f}",
            f"{row['probes_per_second']:,.0f}", f"{row['probes_per_processor_second']:,.0f}",
            *(f"{row[f'times {other}']:.1f}" for other in THEIRS),
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
