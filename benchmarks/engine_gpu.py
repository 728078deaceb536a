"""The GPU side of `engine.py`: run `python benchmarks/engine.py --device cuda`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from unittest import mock

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table
from torch.autograd import DeviceType

from deepdft.architectures.base import DensityModel
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import FloatArray, IntegerArray
from deepdft.density import Grid
from deepdft.geometry.graphs import Edges
from deepdft.kernels.triton import piecewise
from deepdft.prediction.engine import ProbeEngine
from engine import edges_per_probe, operations, random_network

STAGES = {
    "_grid_kernel": "grid points",
    "_pair_kernel": "pairs",
    "_sum_kernel": "sums",
    "_density_kernel": "node networks",
    "Memcpy": "copies",
}
"""Stages by the names of their kernels; all others are the bookkeeping between them."""

FMA_UNITS = 128
"""Float32 multiply-adds per clock and multiprocessor, compute capabilities 8.6 to 9.0."""

PROBES_PER_CHUNK = 4096


class TunedDirectEngine(ProbeEngine):
    """Direct evaluation on a GPU as fast as torch does it: edges and all else on the device."""

    def _set_network(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray
    ) -> None:
        found = []
        images = torch.from_numpy(positions).to(self.device)
        sending = torch.from_numpy(atoms).to(self.device)
        with torch.inference_mode():
            for first in range(0, len(points), PROBES_PER_CHUNK):
                chunk = torch.from_numpy(points[first : first + PROBES_PER_CHUNK]).to(self.device)
                squares = ((chunk[:, None] - images) ** 2).sum(dim=2)
                near = squares < self.network.cutoff**2
                counts = torch.nn.functional.pad(near.sum(dim=1).cumsum(0), (1, 0))
                edges = Edges(
                    sending[near.nonzero()[:, 1]], counts, squares[near].sqrt().to(self.dtype)
                )
                values = self.network.readout(self._messages(edges))
                found.append(torch.where(edges.in_reach, values, 0.0))
        result[:] = torch.cat(found).cpu().numpy()

    def _messages(self, edges: Edges) -> torch.Tensor:
        filters = self.network.probe_filter_network
        steps, _, channels = self.senders.shape
        messages = self.senders.new_zeros((steps, edges.n_receivers, channels))
        basis = filters.basis(edges.distances)
        envelope = filters._envelope(edges.distances)
        for t in range(steps):
            hidden = torch.addmm(filters.W2.bias[t], basis, filters.W2.weight[t])
            hidden = torch.nn.functional.softplus(hidden, threshold=40.0)
            product = torch.addmm(filters.W3.bias[t], hidden, filters.W3.weight[t])
            product = torch.nn.functional.softplus(product, threshold=40.0).mul_(envelope)
            product.mul_(self.senders[t][edges.senders])
            messages[t].index_add_(0, edges.receivers, product)
        return messages


@dataclass
class Measured:
    """Best of several repeats.

    Attributes:
        points: number of points.
        seconds: wall time, neighbour search and transfers included.
    """

    points: int
    seconds: float

    @property
    def rate(self) -> float:
        """Probes a second."""
        return self.points / self.seconds


def run(arguments: argparse.Namespace) -> None:
    """Run the benchmark and print its tables."""
    if not torch.cuda.is_available():
        raise SystemExit("There is no GPU here that torch can use.")
    with tempfile.TemporaryDirectory() as cache:
        # Kernels are compiled anew, so that it can be said how long that takes.
        os.environ["TRITON_CACHE_DIR"] = cache
        counts = tuple(n for n in piecewise.COUNTS if n >= arguments.coefficients)
        with mock.patch.object(piecewise, "COUNTS", counts):
            compare(arguments)


def compare(arguments: argparse.Namespace) -> None:
    """Measure all forms and print."""
    atoms = ase.io.read(arguments.structure)
    grid = Grid.of_cell(atoms, arguments.spacing)
    box = tuple(min(2 * arguments.box, n) for n in grid.shape)
    network = random_network(arguments, atoms).to(arguments.device)
    network.settings = EvaluationSettings(products=arguments.products)
    direct_network = random_network(arguments, atoms).to(arguments.device)
    direct_network.settings = EvaluationSettings(filters="direct")

    begun = time.perf_counter()
    ProbeEngine(network, None, atoms).box(grid, (0, 0, 0), (8, 8, 8))
    first = time.perf_counter() - begun
    begun = time.perf_counter()
    engine = ProbeEngine(network, None, atoms)
    engine.box(grid, (0, 0, 0), (8, 8, 8))
    preparation = time.perf_counter() - begun
    if not engine.is_fused:
        raise SystemExit("This GPU, or the Triton here, is older than what the kernels need.")

    larger = atoms.repeat(arguments.repeat_cell)
    larger_grid = Grid.of_cell(larger, arguments.spacing)
    larger_engine = ProbeEngine(network, None, larger)
    direct = ProbeEngine(direct_network, None, atoms, threads=1)
    tuned = TunedDirectEngine(direct_network, None, atoms, threads=1)
    origin = (0, 0, 0)

    def whole(of: ProbeEngine, on: Grid) -> Callable[[], FloatArray]:
        return lambda: of.box(on, origin, on.shape)

    cases: dict[str, tuple[int, Callable[[], FloatArray]]] = {
        "engine, whole grid": (grid.n_points, whole(engine, grid)),
        f"engine, {len(larger):,} atoms": (
            larger_grid.n_points, whole(larger_engine, larger_grid)
        ),
        "direct, plain": (int(np.prod(box)), lambda: direct.box(grid, origin, box)),
        "direct, tuned": (int(np.prod(box)), lambda: tuned.box(grid, origin, box)),
    }  # fmt: skip
    for _, work in cases.values():
        work()
    timings = {name: Measured(points, np.inf) for name, (points, _) in cases.items()}
    for _ in range(arguments.repeat):
        for name, (_, work) in cases.items():
            torch.cuda.synchronize()
            begun = time.perf_counter()
            work()
            torch.cuda.synchronize()
            timings[name].seconds = min(timings[name].seconds, time.perf_counter() - begun)

    console = Console(width=110)
    edges = edges_per_probe(atoms, grid, network.cutoff)
    properties = torch.cuda.get_device_properties(0)
    console.print(
        f"{properties.name}, torch {torch.__version__}; {arguments.structure.name}: "
        f"{atoms.get_chemical_formula()}, grid {'x'.join(map(str, grid.shape))}, {edges:.1f} atoms "
        f"in reach of a point; T = {arguments.steps}, F = {arguments.channels}, "
        f"{arguments.envelope} envelope, products of {arguments.products}; "
        f"best of {arguments.repeat}"
    )
    single, half = matrix_product_rate(torch.float32), matrix_product_rate(torch.float16)
    print_rates(console, arguments, timings, edges, single)
    print_stages(console, arguments, larger_engine, larger_grid, half)
    console.print(
        f"torch.mm: {single / 1e12:.0f} TFLOP/s in float32, {half / 1e12:.0f} in float16\n"
        f"compilation: {first - preparation:.1f} s, once for all runs, not included\n"
        f"atoms and tables of a structure: {preparation:.3f} s, not included\n"
        + difference_to_double(arguments, atoms, grid, engine, direct_network),
        highlight=False,
    )


def print_rates(
    console: Console, arguments: argparse.Namespace, timings: dict[str, Measured], edges: float,
    single: float,
) -> None:  # fmt: skip
    """Print rates, and what share of matrix products' they reach."""
    table = Table("", "points", "million probes/s", "ratio", "TFLOP/s", "of torch.mm in float32")
    needed = operations(arguments.steps, arguments.channels, edges)
    reference = timings["direct, tuned"].rate
    for name, timing in timings.items():
        performed = needed["direct" if "direct" in name else "engine"] * timing.rate
        table.add_row(
            name, f"{timing.points:,}", f"{timing.rate / 1e6:.2f}",
            f"{timing.rate / reference:.1f}", f"{performed / 1e12:.1f}",
            f"{performed / single:.2f}",
        )  # fmt: skip
    console.print(table)


def print_stages(
    console: Console, arguments: argparse.Namespace, engine: ProbeEngine, grid: Grid, half: float
) -> None:
    """Print the time of each stage on the device beside the least it can take."""
    work = CountedWork()
    with work.counting():
        seconds = device_seconds(lambda: engine.box(grid, (0, 0, 0), grid.shape))
    properties = torch.cuda.get_device_properties(0)
    clock = 1e3 * getattr(properties, "clock_rate", 1.755e6)
    fma_rate = properties.multi_processor_count * FMA_UNITS * clock
    f, steps, n = arguments.channels, arguments.steps, grid.n_points
    products = 3 if arguments.products == "float32" else 1
    least = {
        "sums": work.coefficients * work.probe_pairs * steps * f / fma_rate,
        "node networks": products * (steps * 8 + 2) * f * f * work.probes / half,
    }
    table = Table("stage", "ns a probe", "least", "reached")
    for stage in sorted(seconds, key=lambda name: -seconds[name]):
        floor = least.get(stage)
        table.add_row(
            stage, f"{1e9 * seconds[stage] / n:.2f}",
            "" if floor is None else f"{1e9 * floor / n:.2f}",
            "" if floor is None else f"{floor / seconds[stage]:.2f}",
        )  # fmt: skip
    total, floor = sum(seconds.values()), sum(least.values())
    table.add_row("all", f"{1e9 * total / n:.2f}", f"{1e9 * floor / n:.2f}", f"{floor / total:.2f}")
    console.print(
        f"on the device, {work.coefficients} coefficients a piece, "
        f"{work.probe_pairs / work.probes:.1f} atoms in reach of a group; least: float32 "
        f"multiply-adds at {clock / 1e9:.2f} GHz, measured rate of float16 products"
    )
    console.print(table)


class CountedWork:
    """Pairs and probes of a run.

    Attributes:
        probe_pairs: pairs of a group and an atom, times the probes of a group.
        probes: of groups with any pair.
        coefficients: of a piece.
    """

    def __init__(self) -> None:
        self.probe_pairs = self.probes = self.coefficients = 0

    def counting(self) -> object:
        """Return the context in which runs are counted."""
        from deepdft.prediction import device_batches

        original = device_batches.summed_messages

        def counted(pairs, filters, *rest):  # type: ignore[no-untyped-def]
            size = pairs.offsets_in_piece.shape[1]
            self.probe_pairs += len(pairs.atoms) * size
            self.probes += len(pairs.active) * size
            self.coefficients = filters.table.shape[2]
            return original(pairs, filters, *rest)

        return mock.patch.object(device_batches, "summed_messages", counted)


def device_seconds(work: Callable[[], object]) -> dict[str, float]:
    """Return the time on the device of each stage, from torch's profiler."""
    activities = [torch.profiler.ProfilerActivity.CUDA, torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities) as profile:
        work()
        torch.cuda.synchronize()
    seconds: dict[str, float] = defaultdict(float)
    for event in profile.key_averages():
        spent = 1e-6 * event.self_device_time_total
        # Operations of torch have the time of their kernels as well.
        if event.device_type == DeviceType.CUDA and spent > 0.0:
            stage = next((s for key, s in STAGES.items() if event.key.startswith(key)), "rest")
            seconds[stage] += spent
    return seconds


def matrix_product_rate(dtype: torch.dtype, size: int = 8192) -> float:
    """Return the rate of square matrix products of random numbers in torch, FLOP a second."""
    left, right = (torch.randn(size, size, device="cuda").to(dtype) for _ in range(2))
    out = left @ right
    best = np.inf
    for _ in range(10):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(3):
            torch.mm(left, right, out=out)
        torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begun) / 3)
    return 2.0 * size**3 / best


def difference_to_double(
    arguments: argparse.Namespace, atoms: Atoms, grid: Grid, engine: ProbeEngine,
    direct_network: DensityModel,
) -> str:  # fmt: skip
    """Return how far engine and torch are from float64 with direct filters on the CPU."""
    exact_network = random_network(arguments, atoms).double()
    exact_network.settings = EvaluationSettings(filters="direct")
    chosen = np.random.default_rng(0).choice(grid.n_points, size=500, replace=False)
    points = grid.points().reshape(-1, 3)[chosen]
    exact = ProbeEngine(exact_network, None, atoms).at(points)
    whole = engine.box(grid, (0, 0, 0), grid.shape).ravel()[chosen]
    listed = engine.at(points)
    plain = ProbeEngine(direct_network, None, atoms, threads=1).at(points)
    return "\n".join(
        f"{name} against float64 on the CPU: largest difference {np.abs(found - exact).max():.1e} "
        f"e/Å³, eps_mae {100 * np.abs(found - exact).sum() / np.abs(exact).sum():.1e} %"
        for name, found in (
            ("engine on the grid", whole), ("engine at listed points", listed),
            ("direct, plain", plain),
        )
    )  # fmt: skip
