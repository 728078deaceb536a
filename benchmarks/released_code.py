"""The probe engine against the authors' released SchNet code, on the same points.

    git clone https://github.com/peterbjorgensen/DeepDFT released
    python benchmarks/released_code.py released

The released code is run as its `predict_with_model.py` does: atoms encoded once, then batches of
5000 consecutive grid points, their edges found and evaluated, without gradients. Only its six
worker processes for the edges are left out: all is done in this process, so that both sides have
the same threads. Where the package asap3 is missing, neighbour lists come from this package instead
(compiled; how fast they are is shown apart). Both networks have T = 6, F = 128 and random weights.

Neighbour search is included on both sides; compilation, and what is done once for a structure, are
not. Sides take turns, and the best of several repeats counts. Where other programs compete for the
processor, the rates per second of processor time are the ones to look at.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import types
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.geometry.blocks import block_shape
from deepdft.geometry.graphs import edges_to_images, probe_edges
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.prediction.engine import ProbeEngine
from engine import LIQUID, Timing, random_network
from reporting import add_output_option, write_result

CUTOFF = 4.0


class FullNeighborList:
    """What the released code asks of asap3, answered by this package."""

    def __init__(self, cutoff: float, atoms: Atoms) -> None:
        self._atoms = atoms

    def get_neighbors(self, index: int, cutoff: float) -> tuple[Any, Any, Any]:
        """Return neighbours of an atom, vectors to them and squared distances."""
        ((atoms, vectors, squares),) = self._of(self._atoms.positions[index : index + 1], cutoff)
        others = squares > 1e-12
        return atoms[others], vectors[others], squares[others]

    def get_neighbors_querypoint(
        self, points: FloatArray, cutoff: float
    ) -> list[tuple[Any, Any, Any]]:
        """Return the same for points (n, 3)."""
        return self._of(points, cutoff)

    def _of(self, points: FloatArray, cutoff: float) -> list[tuple[Any, Any, Any]]:
        atoms = self._atoms
        lower, upper = points.min(axis=0), points.max(axis=0)
        images = images_in_reach(atoms.positions, atoms.cell, atoms.pbc, lower, upper, cutoff)
        edges = edges_to_images(images.atoms, images.positions, points, cutoff, directions=True)
        assert edges.vectors is not None
        senders, offsets = edges.senders.numpy().astype(np.int64), edges.offsets.numpy()
        vectors, squares = -edges.vectors.numpy(), edges.distances.numpy() ** 2
        return [(senders[a:b], vectors[a:b], squares[a:b]) for a, b in pairwise(offsets)]


def load_released_code(folder: Path, names: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Import modules of the released code.

    Args:
        folder: clone of its repository.
        names: of the modules.

    Returns:
        The modules, and where their neighbour lists come from: "asap3", or "this package".
    """
    neighbours = "asap3"
    try:
        importlib.import_module("asap3")
    except ImportError:
        neighbours = "this package"
        stand_in: Any = types.ModuleType("asap3")
        stand_in.FullNeighborList = FullNeighborList
        sys.modules["asap3"] = stand_in
    sys.path.insert(0, str(folder))
    return {name: importlib.import_module(name) for name in names}, neighbours


class ReleasedCode:
    """The released SchNet model for one structure.

    Args:
        folder: clone of the repository.
        atoms: the structure, periodic.
        spacing: of the grid, Å.
        batch: grid points evaluated at once.
    """

    def __init__(self, folder: Path, atoms: Atoms, spacing: float, batch: int) -> None:
        names = ("dataset", "densitymodel", "predict_with_model")
        code, self.neighbours = load_released_code(folder, names)
        self._data, network, script = (code[name] for name in names)
        torch.manual_seed(0)
        self._model = network.DensityModel(6, 128, CUTOFF).eval()
        self._atoms = atoms
        self._batch = batch
        self.mesh = script.LazyMeshGrid(atoms.get_cell(), spacing, adjust_grid_step=True)
        self.shape: tuple[int, int, int] = tuple(int(n) for n in self.mesh.shape[:3])
        self._list = sys.modules["asap3"].FullNeighborList(CUTOFF, atoms)
        self._graph = self._data.CollateFuncAtoms(cutoff=CUTOFF, pin_memory=False)(
            [{"atoms": atoms}]
        )
        with torch.no_grad():
            self._states = self._model.atom_model(self._graph)

    def edges(self, number: int) -> dict[str, Any]:
        """Return one batch's edges."""
        found = self._data.DensityGridIterator.static_get_slice(
            number, self._atoms, self.mesh, self._batch, CUTOFF, neighborlist=self._list
        )
        return {name: torch.tensor(value) for name, value in found.items()}

    def density(self, number: int) -> torch.Tensor:
        """Return the density of one batch."""
        with torch.no_grad():
            probes = self._data.collate_list_of_dicts([self.edges(number)])
            result: torch.Tensor = self._model.probe_model({**self._graph, **probes}, self._states)
        return result[0]

    def points(self, number: int) -> FloatArray:
        """Return the points of one batch, (n, 3) Å."""
        first = number * self._batch
        chosen = np.arange(first, min(first + self._batch, int(np.prod(self.shape))))
        points: FloatArray = self.mesh[np.unravel_index(chosen, self.shape)]
        return points


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("released", type=Path, help="clone of the released code's repository")
    parser.add_argument("--structure", type=Path, default=LIQUID, help="file that ASE reads")
    parser.add_argument("--spacing", type=float, default=0.1, help="of the grid, Å")
    parser.add_argument(
        "--batch", type=int, default=5000, help="the released script's --probe_count"
    )
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    add_output_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    atoms = ase.io.read(options.structure)
    released = ReleasedCode(options.released, atoms, options.spacing, options.batch)
    total = -(-int(np.prod(released.shape)) // options.batch)
    chosen = [int((i + 0.5) * total / options.batches) for i in range(options.batches)]
    points = np.concatenate([released.points(number) for number in chosen])
    options.steps, options.channels, options.envelope = 6, 128, "published"
    engine = ProbeEngine(random_network(options, atoms), None, atoms, options.threads)
    grid = Grid(np.asarray(atoms.cell), released.shape)
    tile = block_shape(grid, engine.block_size)
    box = tuple(min(3 * n, end) for n, end in zip(tile, grid.shape, strict=True))
    engine.box(grid, (0, 0, 0), (4, 4, 4))  # compiles, or loads what was compiled
    engine.at(points[:2])
    released.density(chosen[0])

    names = ("released code", "of it, edges", "engine, same points", "engine, box of the grid")
    timings = {name: Timing() for name in names}
    for _ in range(options.repeat):
        timings[names[0]].add(lambda: [released.density(number) for number in chosen])
        timings[names[1]].add(lambda: [released.edges(number) for number in chosen])
        timings[names[2]].add(lambda: engine.at(points))
        timings[names[3]].add(lambda: engine.box(grid, (0, 0, 0), box))
    edges = sum(len(released.edges(number)["probe_edges"]) for number in chosen)
    if edges != len(probe_edges(atoms, points, CUTOFF).senders):
        raise SystemExit("The two sides have found different edges.")
    counts = dict.fromkeys(names, len(points)) | {names[3]: int(np.prod(box))}
    result = summary(timings, counts, edges / len(points), released, options)
    show(result)
    write_result(options, "released_code", rows(result), result)


def summary(
    timings: dict[str, Timing], counts: dict[str, int], edges: float, released: ReleasedCode,
    options: argparse.Namespace,
) -> dict[str, Any]:  # fmt: skip
    """Return all numbers."""
    rates = {
        name: {
            "points": counts[name],
            "probes_per_second": counts[name] / timing.wall,
            "probes_per_processor_second": counts[name] / timing.processor,
        }
        for name, timing in timings.items()
    }
    theirs, _, ours, _ = (row["probes_per_processor_second"] for row in rates.values())
    return {
        "structure": options.structure.name,
        "grid": list(released.shape),
        "edges_per_probe": edges,
        "threads": options.threads,
        "batch": options.batch,
        "neighbour_lists_of_released_code": released.neighbours,
        "rates": rates,
        "ratio": ours / theirs,
    }


def rows(result: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the main figures."""
    found = [
        (name, f"{row['probes_per_processor_second']:,.0f} probes/s a core")
        for name, row in result["rates"].items()
    ]
    found.append(("engine to released code, same points", f"{result['ratio']:.0f} times"))
    by = result["neighbour_lists_of_released_code"]
    found.append(("neighbour lists of the released code", f"by {by}"))
    return found


def show(result: dict[str, Any]) -> None:
    """Print everything as a table."""
    console = Console(width=110)
    console.print(
        f"{result['structure']}, grid {'x'.join(map(str, result['grid']))}, "
        f"{result['edges_per_probe']:.1f} atoms in reach of a point; T = 6, F = 128, float32; "
        f"{result['threads']} thread(s); batches of {result['batch']:,} points; neighbour lists of "
        f"the released code by {result['neighbour_lists_of_released_code']}"
    )
    table = Table()
    for column in ("", "points", "probes/s", "probes/s of processor time"):
        table.add_column(column, justify="right" if column else "left")
    for name, row in result["rates"].items():
        table.add_row(
            name, f"{row['points']:,}", f"{row['probes_per_second']:,.0f}",
            f"{row['probes_per_processor_second']:,.0f}",
        )  # fmt: skip
    console.print(table)
    console.print(
        f"engine against released code, same points, processor time: {result['ratio']:.1f} times",
        highlight=False,
    )


if __name__ == "__main__":
    main()
