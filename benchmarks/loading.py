"""Reading training data against training: is a training step ever kept waiting?

    python benchmarks/loading.py

Makes densities, writes them as a training store and as the published data sets are: CHGCAR text,
compressed by zlib, in a tar file. Then, in turns, draws probes from both, from the same values in
HDF5 and through the zarr package, and does training steps of the network on batches that are there
already. Every draw is of the next structure, as in training on more data than fit into memory. A
source is no bottleneck if its probes/s are well above those of the training step: its share of a
step is what reading adds to it.

Times are the best of several repeats of one process: draws on one thread, training on `--threads`.
"cold" means that the system was asked to forget the files before each draw; "announced", that it
was told what comes next one training step before, as training does. Everything is deleted
afterwards.
"""

from __future__ import annotations

import argparse
import gc
import os
import tarfile
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from rich.console import Console
from rich.table import Table

from deepdft.architectures import create_model
from deepdft.arrays import FloatArray
from deepdft.data import DensityDataset, open_dataset
from deepdft.data.conversion import fill_store
from deepdft.data.grid_dataset import GridDataset
from deepdft.data.grid_probes import LoadedValues, draw_from_grid
from deepdft.data.training_store import TrainingStore, TrainingStoreDataset
from deepdft.density import Density, Grid
from deepdft.formats import write
from deepdft.formats.source import find_source
from deepdft.levels import LevelOfTheory
from deepdft.threads import available_threads
from deepdft.training.batches import BatchBuilder
from deepdft.training.config import OptimizerConfig
from deepdft.training.module import DensityTraining
from reporting import add_output_option, write_result

MOLECULES = ("C6H6", "CH3CH2OH", "CH3COCH3", "C4H4O", "C5H5N", "CH3CONH2", "C4H4NH", "HCOOCH3")
CUTOFF = 4.0
COLD = "store, cold"
ANNOUNCED = "store, cold, announced a step ahead"


@dataclass
class Timing:
    """Seconds of each repeat."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    def add(self, work: Callable[[], object]) -> None:
        """Do `work` once more."""
        wall, processor = time.perf_counter(), time.process_time()
        work()
        self.wall.append(time.perf_counter() - wall)
        self.processor.append(time.process_time() - processor)


def made_up_density(number: int, points: int) -> Density:
    """Return a valence density of Gaussians in a box of `points`^3 points, as VASP's are stored."""
    atoms: Atoms = molecule(MOLECULES[number % len(MOLECULES)])
    atoms.rattle(0.05, seed=number)
    atoms.set_cell(np.eye(3) * 12.0)
    atoms.center()
    atoms.pbc = True
    grid = Grid(np.asarray(atoms.cell), (points, points, points))
    axis = np.arange(points) / points * 12.0
    values = np.zeros(grid.shape)
    for position, z in zip(atoms.positions, atoms.numbers, strict=True):
        x, y, w = (np.exp(-2.5 * (axis - p) ** 2) for p in position)
        values += max(1, int(z) - 2) * np.einsum("i,j,k->ijk", x, y, w)
    return Density(atoms, grid, values, level=LevelOfTheory("PBE", "PAW"))


def write_tar(path: Path, densities: list[Density]) -> None:
    """Write densities as zlib-compressed CHGCARs in a tar file."""
    with tempfile.TemporaryDirectory(dir=path.parent) as folder, tarfile.open(path, "w") as tar:
        for number, density in enumerate(densities):
            scratch = Path(folder) / f"{number:06d}.CHGCAR.zz"
            write(scratch, density)
            content = scratch.read_bytes()
            entry = tarfile.TarInfo(scratch.name)
            entry.size = len(content)
            tar.addfile(entry, BytesIO(content))


def forget(folder: Path) -> None:
    """Ask the system to drop the files of a folder from its memory."""
    for file in (path for path in folder.rglob("*") if path.is_file()):
        handle = os.open(file, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


def draw_with_ase(tar: GridDataset, index: int, generator: np.random.Generator) -> FloatArray:
    """Read a member as the released code does, with ASE, and pick points."""
    from ase.calculators.vasp import VaspChargeDensity

    with find_source(tar.paths[index]).open() as file:
        text = file.read()
    with tempfile.NamedTemporaryFile("wb", suffix="CHGCAR") as scratch:
        scratch.write(text or b"")
        scratch.flush()
        values = VaspChargeDensity(scratch.name).chg[0].ravel()
    return np.asarray(values[generator.integers(values.size, size=1000)])


class Containers:
    """The same values in HDF5 and through the zarr package, and uniform draws from them."""

    def __init__(self, folder: Path, store: TrainingStore) -> None:
        import h5py
        import zarr

        self.entries = [store.entry(index) for index in range(len(store))]
        self.zarr = zarr.open_group(store.path, mode="r")["density"]
        self.hdf5 = h5py.File(folder / "densities.h5", "w")
        for index in range(len(store)):
            values = store.slab(index, 0, store.grid(index).shape[0])
            self.hdf5.create_dataset(str(index), data=values, chunks=(8, 8, 16))

    def draw_zarr(self, index: int, generator: np.random.Generator) -> FloatArray:
        """Pick points through the zarr package."""
        entry = self.entries[index]
        places = entry.point + generator.integers(entry.n_points, size=1000)
        return np.asarray(self.zarr.oindex[np.sort(places)])

    def draw_hdf5(self, index: int, generator: np.random.Generator) -> FloatArray:
        """Pick points from a chunked HDF5 data set, reading every chunk that holds some once."""
        data = self.hdf5[str(index)]
        size = np.array(data.chunks)
        places = np.array(np.unravel_index(generator.integers(data.size, size=1000), data.shape)).T
        chunks, owner = np.unique(places // size, axis=0, return_inverse=True)
        values = np.empty(1000)
        for number, first in enumerate(chunks * size):
            block = data[tuple(slice(low, low + n) for low, n in zip(first, size, strict=True))]
            here = owner == number
            values[here] = block[tuple((places[here] - first).T)]
        return values


def training_step(
    dataset: DensityDataset, steps: int, threads: int
) -> tuple[Callable[[], None], int]:
    """Return what does one step on the next of some batches, and the probes of a step."""
    torch.manual_seed(0)
    torch.set_num_threads(threads)
    network = create_model("deepdft", {"steps": steps, "channels": 128}, dataset.elements())
    module = DensityTraining(network, OptimizerConfig(), 1000)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    builder = BatchBuilder(dataset, network.cutoff, None)
    generator = np.random.default_rng(0)
    batches = [
        builder.build([i % len(dataset), (i + 1) % len(dataset)], 1000, 0.0, generator)
        for i in range(4)
    ]
    done = [0]

    def step() -> None:
        batch = batches[done[0] % len(batches)]
        done[0] += 1
        optimizer.zero_grad()
        predicted = network(batch.graph, batch.edges)
        (batch.weights * (predicted - batch.target).square()).mean().backward()
        optimizer.step()

    assert module.model is network
    return step, 2000


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structures", type=int, default=12)
    parser.add_argument("--points", type=int, default=96, help="grid points along each edge")
    parser.add_argument("--repeats", type=int, default=24)
    parser.add_argument("--steps", type=int, default=3, help="interaction steps of the network")
    parser.add_argument("--threads", type=int, default=min(2, available_threads()))
    add_output_option(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="loading_") as folder:
        report = measure(Path(folder), arguments)
    show(report, arguments)
    training = report["training step"]["probes_per_second"]
    rows = [
        (f"{name}, to the training step", f"{row['probes_per_second'] / training:.1f} times")
        for name, row in report.items()
        if name != "training step"
    ]
    rows.append(("training step", f"{training:,.0f} probes/s"))
    write_result(arguments, "loading", rows, flattened(report))


class Sources:
    """The same densities in several places, and draws of 1000 probes from each."""

    def __init__(self, folder: Path, structures: int, points: int) -> None:
        self.folder = folder
        self.points = points
        write_tar(folder / "published.tar", [made_up_density(i, points) for i in range(structures)])
        files = open_dataset(folder / "published.tar", LevelOfTheory("PBE", "PAW"))
        assert isinstance(files, GridDataset)
        self.files = files
        fill_store(folder / "data.store", files)
        self.store = TrainingStoreDataset(folder / "data.store")
        self.containers = Containers(folder, self.store.store)
        self.generator = np.random.default_rng(1)

    def grow_cold(self) -> None:
        """Have the system forget the store, which it does not as long as it is mapped."""
        self.store = TrainingStoreDataset(self.folder / "data.store")
        gc.collect()
        forget(self.folder / "data.store")

    def draw_store(self, index: int, importance: float = 0.0) -> object:
        """Draw probes from the store."""
        return self.store.draw(index, 1000, self.generator, cutoff=CUTOFF, importance=importance)

    def draw_values(self, index: int) -> object:
        """Pick points from the store, without asking which have an atom in reach."""
        places = self.generator.integers(self.points**3, size=1000)
        return self.store.store.values(index).take(places)

    def draw_file(self, index: int) -> object:
        """Draw probes as `GridDataset.draw` does from a density that is not in memory."""
        density = self.files.on_grid(index)
        values = LoadedValues(np.ascontiguousarray(density.values))
        return draw_from_grid(
            values, density.atoms, density.grid, 1000, self.generator, cutoff=CUTOFF, importance=0.0
        )

    def draws(self) -> dict[str, Callable[[int], object]]:
        """Return all ways to draw, by name."""
        return {
            "store": self.draw_store,
            "store, half of the probes by importance": partial(self.draw_store, importance=0.5),
            COLD: self.draw_store,
            ANNOUNCED: self.draw_store,
            "store, values alone": self.draw_values,
            "zarr package, values alone": partial(
                self.containers.draw_zarr, generator=self.generator
            ),
            "HDF5 (8 x 8 x 16 chunks), values alone": partial(
                self.containers.draw_hdf5, generator=self.generator
            ),
            "CHGCAR.zz in a tar file": self.draw_file,
            "CHGCAR.zz in a tar file, read by ASE, values alone": partial(
                draw_with_ase, self.files, generator=self.generator
            ),
        }


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return for every source and the training step the best time and rate."""
    sources = Sources(folder, arguments.structures, arguments.points)
    step, step_probes = training_step(sources.store, arguments.steps, arguments.threads)
    draws = sources.draws()
    timings = {name: Timing() for name in (*draws, "training step")}
    for draw in draws.values():
        draw(0)  # compile, and fill memory
    step()
    for repeat in range(arguments.repeats):
        index = repeat % arguments.structures
        for name, draw in draws.items():
            if "store" not in name and repeat % 4:
                continue
            if name in (COLD, ANNOUNCED):
                sources.grow_cold()
            if name == ANNOUNCED:
                sources.store.prefetch(index)
                step()
            timings[name].add(partial(draw, index))
        timings["training step"].add(step)
    probes = dict.fromkeys(draws, 1000) | {"training step": step_probes}
    return {
        name: {
            "milliseconds_per_1000_probes": 1e6 * min(timing.wall) / probes[name],
            "processor_milliseconds": 1e6 * min(timing.processor) / probes[name],
            "probes_per_second": probes[name] / min(timing.wall),
        }
        for name, timing in timings.items()
    }


def flattened(report: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the figures by name, with every rate as a multiple of the training step's."""
    training = report["training step"]["probes_per_second"]
    figures = {
        f"{name}: {figure}": value for name, row in report.items() for figure, value in row.items()
    }
    return figures | {
        f"{name}: times the training step": row["probes_per_second"] / training
        for name, row in report.items()
    }


def show(report: dict[str, dict[str, float]], arguments: argparse.Namespace) -> None:
    """Print the table with ratios to the training step."""
    training = report["training step"]["probes_per_second"]
    table = Table(
        title=f"{arguments.structures} densities of {arguments.points}^3 points; network with "
        f"{arguments.steps} steps and 128 channels on {arguments.threads} threads; best times"
    )
    for column in ("", "ms / 1000 probes", "processor ms", "probes/s", "times the training step"):
        table.add_column(column, justify="left" if not column else "right")
    for name, row in report.items():
        table.add_row(
            name,
            f"{row['milliseconds_per_1000_probes']:.2f}",
            f"{row['processor_milliseconds']:.2f}",
            f"{row['probes_per_second']:,.0f}",
            f"{row['probes_per_second'] / training:.2f}",
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
