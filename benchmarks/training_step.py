"""A training step with tabulated filters against one with direct filters.

    python benchmarks/training_step.py

The paper's batch: 1000 random probes in each of 2 structures (here the liquid twice, displaced at
random). Both networks begin with the same weights and see the same batches; besides the time of
forward, backward and Adam's step, the losses are compared, which tabulation must not change.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from rich.console import Console
from rich.table import Table

from deepdft.architectures import create_model
from deepdft.architectures.base import DensityModel
from deepdft.architectures.settings import EvaluationSettings
from deepdft.density import Grid
from deepdft.geometry.graphs import (
    AtomGraph,
    Edges,
    atom_graph,
    concatenate_edges,
    concatenate_graphs,
    probe_edges,
)
from deepdft.threads import available_threads
from reporting import add_output_option, write_result

LIQUID = Path(__file__).with_name("ethylene_carbonate.xyz")

Batch = tuple[AtomGraph, Edges, torch.Tensor]


def main() -> None:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, default=LIQUID, help="file that ASE reads")
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--steps", type=int, default=15, help="training steps")
    parser.add_argument("--probes", type=int, default=1000, help="probes in each structure")
    add_output_option(parser)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)

    atoms = ase.io.read(arguments.structure)
    generator = np.random.default_rng(0)
    elements = sorted(set(atoms.numbers.tolist()))
    networks = {}
    for filters in ("tabulated", "direct"):
        torch.manual_seed(0)
        networks[filters] = create_model("deepdft", {}, elements).train()
        networks[filters].settings = EvaluationSettings(filters=filters)
    optimizers = {
        name: torch.optim.Adam(network.parameters(), lr=1e-4) for name, network in networks.items()
    }
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in networks}
    losses: dict[str, list[float]] = {name: [] for name in networks}
    for _ in range(arguments.steps):
        batch = random_batch(atoms, arguments.probes, networks["direct"].cutoff, generator)
        for name, network in networks.items():
            begun = time.perf_counter(), time.process_time()
            losses[name].append(train(network, optimizers[name], batch))
            seconds[name].append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    report(arguments, atoms, seconds, losses)


def random_batch(atoms: Atoms, probes: int, cutoff: float, generator: np.random.Generator) -> Batch:
    """Two displaced copies of a structure with random probes, and a density to fit."""
    graphs, edges = [], []
    for _ in range(2):
        moved = atoms.copy()
        moved.positions += generator.normal(0.0, 0.05, moved.positions.shape)
        grid = Grid.of_cell(moved, 0.1)
        index = np.stack([generator.integers(0, n, probes) for n in grid.shape], axis=1)
        points = grid.origin + (index / np.array(grid.shape)) @ grid.cell
        graphs.append(atom_graph(moved, cutoff).to(dtype=torch.float32))
        edges.append(probe_edges(moved, points, cutoff).to(dtype=torch.float32))
    joined = concatenate_edges(edges, [len(atoms)] * 2)
    # A density of about the right size: larger where atoms are near.
    nearness = torch.exp(-2.0 * joined.distances)
    target = torch.zeros(joined.n_receivers).index_add(0, joined.receivers, nearness)
    return concatenate_graphs(graphs), joined, target


def train(network: DensityModel, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """Do one step and return the loss before it."""
    graph, edges, target = batch
    optimizer.zero_grad(set_to_none=True)
    loss = ((network(graph, edges) - target) ** 2).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def report(
    arguments: argparse.Namespace, atoms: Atoms, seconds: dict[str, list[tuple[float, float]]],
    losses: dict[str, list[float]],
) -> None:  # fmt: skip
    """Print everything as a table."""
    console = Console(width=100)
    console.print(
        f"{arguments.structure.name}: 2 x {atoms.get_chemical_formula()}, 2 x {arguments.probes} "
        f"probes; T = 6, F = 128, float32; {arguments.threads} threads, best of {arguments.steps}"
    )
    table = Table()
    for column in ("filters", "ms a step", "CPU ms a step", "loss at first", "loss at last"):
        table.add_column(column, justify="left" if column == "filters" else "right")
    best = {name: np.min(times, axis=0) for name, times in seconds.items()}
    for name, (wall, processor) in best.items():
        table.add_row(
            name, f"{1e3 * wall:.0f}", f"{1e3 * processor:.0f}", f"{losses[name][0]:.6f}",
            f"{losses[name][-1]:.6f}",
        )  # fmt: skip
    console.print(table)
    ours, reference = np.array(losses["tabulated"]), np.array(losses["direct"])
    ratio = best["direct"][1] / best["tabulated"][1]
    difference = np.abs(ours / reference - 1).max()
    console.print(
        f"tabulated is {ratio:.1f} times as fast in processor time; largest relative difference "
        f"of the losses: {difference:.1e}",
        highlight=False,
    )
    rows = [(f"step, {name} filters", f"{1e3 * wall:.0f} ms") for name, (wall, _) in best.items()]
    rows += [
        ("tabulated to direct, processor time", f"{ratio:.1f} times as fast"),
        ("loss at first and last step, tabulated", f"{ours[0]:.6f}, {ours[-1]:.6f}"),
        ("loss at first and last step, direct", f"{reference[0]:.6f}, {reference[-1]:.6f}"),
        (f"largest relative difference of the losses, {len(ours)} steps", f"{difference:.1e}"),
    ]
    write_result(arguments, "training_step", rows, {"seconds": seconds, "losses": losses})


if __name__ == "__main__":
    main()
