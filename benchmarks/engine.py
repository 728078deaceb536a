"""The probe engine against direct evaluation of the same network in torch.

    python benchmarks/engine.py
    python benchmarks/engine.py --device cuda

Both sides have the same weights, the same points of the same grid, and the same number of threads;
neighbour search is included, compilation is not and is shown apart. The direct side evaluates the
filter networks on every edge and everything else in torch, in two forms: the plain reference
(`network.filters = "direct"`), and the same operations tuned for torch on a processor, step by step
on chunks of edges that stay in cache, in buffers that are used again. Sides take turns and the best
of several repeats counts. Where other programs compete for the processor, the rates a core, per
second of processor time, are the ones to look at. On a GPU both sides run on the device, transfers
included, and the time of each stage is shown beside the least that its operations take.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from deepdft.architectures import create_model
from deepdft.architectures.base import DensityModel
from deepdft.architectures.layers import GaussianBasis, StackedLinear
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import FloatArray, IntegerArray
from deepdft.density import Grid
from deepdft.geometry.graphs import Edges, edges_to_images, probe_edges
from deepdft.prediction.engine import ProbeEngine
from deepdft.threads import available_threads
from reporting import add_output_option, write_result

LIQUID = Path(__file__).with_name("ethylene_carbonate.xyz")
RELEASED_CODE = 1100
"""Probes/s of the authors' released SchNet code at T = 6, F = 128, on one x86-64 core whose float32
matrix products reach 77 GFLOP/s, for a comparable liquid."""

EDGES_PER_CHUNK = 2048
"""Edges that the tuned direct form takes at once: fastest where a core has 1 MiB of cache."""


@dataclass
class Timing:
    """Best of several repeats, in seconds."""

    wall: float = np.inf
    processor: float = np.inf

    def add(self, work: Callable[[], object]) -> object:
        """Do `work` once more."""
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        self.wall = min(self.wall, time.perf_counter() - wall)
        self.processor = min(self.processor, time.process_time() - processor)
        return result


class TunedDirectEngine(ProbeEngine):
    """Direct evaluation of `deepdft` as fast as torch does it."""

    @override
    def _set_network(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray
    ) -> None:
        edges = edges_to_images(atoms, positions, points, self.network.cutoff)
        reached = edges.in_reach.numpy()
        edges = edges.of_reached_receivers().to(dtype=self.dtype)
        with torch.inference_mode():
            values = self.network.readout(self._messages(edges))
        result[reached] = values.numpy()

    def _messages(self, edges: Edges) -> torch.Tensor:
        filters = self.network.probe_filter_network
        layers = [_in_powers_of_two(layer) for layer in (filters.W2, filters.W3)]
        steps, _, channels = self.senders.shape
        messages = torch.zeros((steps, edges.n_receivers, channels))
        buffers = torch.empty((3, EDGES_PER_CHUNK, channels))
        receivers, senders = edges.receivers, edges.senders.long()
        for first in range(0, len(senders), EDGES_PER_CHUNK):
            chosen = slice(first, first + EDGES_PER_CHUNK)
            distances = edges.distances[chosen]
            basis, envelope = _gaussians(filters.basis, distances), filters._envelope(distances)
            hidden, product, sent = buffers[:, : len(distances)]
            for t in range(steps):
                torch.addmm(layers[0][1][t], basis, layers[0][0][t], out=hidden)
                hidden.exp2_().log1p_()
                torch.addmm(layers[1][1][t], hidden, layers[1][0][t], out=product)
                product.exp2_().log1p_()
                torch.index_select(self.senders[t], 0, senders[chosen], out=sent)
                messages[t].index_add_(0, receivers[chosen], product.mul_(envelope).mul_(sent))
        return messages


def _gaussians(basis: GaussianBasis, distances: torch.Tensor) -> torch.Tensor:
    """Return the same as `basis`, by exp2."""
    scale = math.sqrt(0.5 / math.log(2.0)) / basis.width
    scaled = (distances * scale)[:, None] - (basis.centres * scale).float()
    return scaled.square_().neg_().exp2_()


def _in_powers_of_two(layer: StackedLinear) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias times log2(e): softplus(x) is then log1p(exp2(x)).

    torch's exp2 takes half the time of its exp. Right up to x = 88, far from any weights here.
    """
    return layer.weight / math.log(2.0), layer.bias / math.log(2.0)


def main() -> None:
    """Run the benchmark and print its tables."""
    arguments = parse_arguments()
    if arguments.device != "cpu":
        import engine_gpu

        engine_gpu.run(arguments)
        return
    atoms = ase.io.read(arguments.structure)
    grid = Grid.of_cell(atoms, arguments.spacing)
    box = tuple(min(arguments.box, n) for n in grid.shape)
    network = random_network(arguments, atoms)
    direct_network = random_network(arguments, atoms)
    direct_network.load_state_dict(network.state_dict())
    direct_network.settings = EvaluationSettings(filters="direct")

    begun = time.perf_counter()
    warm(ProbeEngine(network, None, atoms, arguments.threads), grid)
    compilation = time.perf_counter() - begun
    preparation = Timing()
    for _ in range(arguments.repeat):
        preparation.add(lambda: ProbeEngine(network, None, atoms, arguments.threads))
    engine = ProbeEngine(network, None, atoms, arguments.threads)
    direct = ProbeEngine(direct_network, None, atoms, arguments.threads)
    tuned = TunedDirectEngine(direct_network, None, atoms, arguments.threads)
    tuned.block_size = 216
    for each in (direct, tuned):
        warm(each, grid)

    names = ("engine", "direct, plain", "direct, tuned", "engine, whole grid")
    timings = {name: Timing() for name in names}
    for _ in range(arguments.repeat):
        fast = timings["engine"].add(lambda: engine.box(grid, (0, 0, 0), box))
        slow = timings["direct, plain"].add(lambda: direct.box(grid, (0, 0, 0), box))
        other = timings["direct, tuned"].add(lambda: tuned.box(grid, (0, 0, 0), box))
        timings["engine, whole grid"].add(lambda: engine.box(grid, (0, 0, 0), grid.shape))
    difference = max(
        float(np.abs(np.asarray(values) - np.asarray(slow)).max()) for values in (fast, other)
    )

    edges = edges_per_probe(atoms, grid, network.cutoff)
    rate = matrix_product_rate(arguments.threads)
    print_report(
        arguments, atoms, grid, box, timings, edges, rate, difference, compilation, preparation
    )


def parse_arguments() -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, default=LIQUID, help="file that ASE reads")
    parser.add_argument("--spacing", type=float, default=0.1, help="of the grid, Å")
    parser.add_argument("--box", type=int, default=24, help="edge of the box both sides do, points")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="interaction steps T")
    parser.add_argument("--channels", type=int, default=128, help="width F")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda: the engine on a GPU")
    parser.add_argument(
        "--products", choices=("float32", "float16"), default="float32", help="on a GPU"
    )
    parser.add_argument(
        "--coefficients", type=int, default=0,
        help="least number in a piece of the filters, on a GPU: trained ones need more than random",
    )  # fmt: skip
    parser.add_argument(
        "--repeat-cell", type=int, default=4, help="copies of the cell, each way, on a GPU"
    )
    parser.add_argument("--envelope", choices=("published", "smooth"), default="published")
    add_output_option(parser)
    return parser.parse_args()


def random_network(arguments: argparse.Namespace, atoms: Atoms) -> DensityModel:
    """Return the network with random weights; its speed does not depend on them."""
    torch.manual_seed(0)
    options = {name: getattr(arguments, name) for name in ("steps", "channels", "envelope")}
    elements = sorted(set(atoms.numbers.tolist()))
    network = create_model("deepdft", options, elements)
    return network.eval().requires_grad_(False)


def warm(engine: ProbeEngine, grid: Grid) -> None:
    """Compile, or load what was compiled before."""
    engine.box(grid, (0, 0, 0), tuple(min(8, n) for n in grid.shape))


def edges_per_probe(atoms: Atoms, grid: Grid, cutoff: float) -> float:
    """Return the mean number of atoms in reach of a point of the grid."""
    chosen = np.random.default_rng(0).choice(grid.n_points, size=min(2000, grid.n_points))
    index = np.stack(np.unravel_index(chosen, grid.shape), axis=1)
    points = grid.origin + (index / np.array(grid.shape)) @ grid.cell
    return len(probe_edges(atoms, points, cutoff).senders) / len(points)


def matrix_product_rate(threads: int) -> float:
    """Return the largest rate of float32 matrix products in torch, FLOP per processor second."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    best = 0.0
    for n, k, m in ((512, 128, 256), (2048, 128, 256), (1024, 1024, 1024)):
        operands = torch.randn(n, k), torch.randn(k, m), torch.empty(n, m)
        times = max(1, int(2e9 / (2 * n * k * m)))
        timing = Timing()
        for _ in range(20):
            timing.add(partial(multiply, *operands, times))
        best = max(best, 2.0 * n * k * m * times / timing.processor)
    torch.set_num_threads(before)
    return best


def multiply(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor, times: int) -> None:
    """Do the same matrix product many times."""
    for _ in range(times):
        torch.mm(left, right, out=out)


def operations(steps: int, channels: int, edges: float) -> dict[str, float]:
    """Return the floating-point operations a probe that each side's definition needs."""
    f = channels
    network = steps * 8 * f * f + 2 * f * f + 2 * f
    gaussians = 40
    return {
        "engine": network + edges * steps * f * 14,
        "direct": network + edges * steps * (2 * f * (gaussians + f) + 2 * f),
    }


def print_report(
    arguments: argparse.Namespace, atoms: Atoms, grid: Grid, box: tuple[int, ...],
    timings: dict[str, Timing], edges: float, rate: float, difference: float, compilation: float,
    preparation: Timing,
) -> None:  # fmt: skip
    """Print everything as a table."""
    console = Console(width=110)
    threads = arguments.threads
    console.print(
        f"{arguments.structure.name}: {atoms.get_chemical_formula()}, grid "
        f"{'x'.join(map(str, grid.shape))}, {edges:.1f} atoms in reach of a point; "
        f"T = {arguments.steps}, F = {arguments.channels}, {arguments.envelope} envelope, float32; "
        f"{threads} thread{'s' if threads > 1 else ''}, best of {arguments.repeat}"
    )
    table = Table()
    for column in (
        "",
        "points",
        "probes/s",
        "probes/s a core",
        "ratio",
        "GFLOP/s a core",
        "of torch.mm",
    ):
        table.add_column(column, justify="left" if not column else "right")
    flops = operations(arguments.steps, arguments.channels, edges)
    reference = timings["direct, tuned"].processor / np.prod(box)
    for name, timing in timings.items():
        points = grid.n_points if "whole" in name else int(np.prod(box))
        performed = flops["direct" if "direct" in name else "engine"] * points / timing.processor
        table.add_row(
            name, f"{points:,}", f"{points / timing.wall:,.0f}",
            f"{points / timing.processor:,.0f}", f"{reference / (timing.processor / points):.1f}",
            f"{performed / 1e9:.0f}", f"{performed / rate:.2f}",
        )  # fmt: skip
    console.print(table)
    whole = timings["engine, whole grid"]
    per_core = grid.n_points / whole.processor
    paper = (arguments.steps, arguments.channels) == (6, 128)
    console.print(
        f"largest difference to the plain direct form: {difference:.1e} e/Å³\n"
        f"torch.mm: {rate / 1e9:.0f} GFLOP/s a core\n"
        f"compilation, or loading it from the cache: {compilation:.1f} s, not included\n"
        f"atoms and tables of a structure: {preparation.wall:.3f} s, not included"
        + f"\nagainst {RELEASED_CODE:,} probes/s a core of the released code: "
        f"{per_core / RELEASED_CODE:.0f} times" * paper,
        highlight=False,
    )
    per_point = {
        name: timing.processor / (grid.n_points if "whole" in name else int(np.prod(box)))
        for name, timing in timings.items()
    }
    ours = per_point["engine"]
    share = flops["direct"] / per_point["direct, tuned"] / rate
    rows = [
        (f"engine, whole grid, {threads} thread(s)", f"{grid.n_points / whole.wall:,.0f} probes/s"),
        ("engine, whole grid", f"{per_core:,.0f} probes/s a core"),
        ("to direct torch, tuned", f"{per_point['direct, tuned'] / ours:.1f} times"),
        ("to direct torch, plain", f"{per_point['direct, plain'] / ours:.1f} times"),
        ("direct torch, tuned, of the rate of torch.mm", f"{share:.2f}"),
        ("largest difference to direct, float32", f"{difference:.1e} e/Å³"),
        ("first call: compiling, or loading from the cache", f"{compilation:.1f} s"),
    ]
    figures = {
        "seconds_per_point": per_point, "wall_whole_grid": whole.wall, "points": grid.n_points,
        "matrix_product_flops": rate, "edges_per_probe": edges, "difference": difference,
        "compilation": compilation, "preparation": preparation.wall, "threads": threads,
    }  # fmt: skip
    write_result(arguments, "engine", rows, figures)


if __name__ == "__main__":
    main()
