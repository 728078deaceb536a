"""What matrix products of lower precision change in a predicted density.

    python benchmarks/precision.py [MODEL]

eps_mae (eq. 7) and the largest difference between densities with node networks in lower precision
and in float64, messages in float32 throughout, on grids of three molecules and the liquid. Products
on tensor cores are emulated: operands are rounded as the hardware reads them, sums are float32.
With a GPU and Triton the real kernels are measured beside. MODEL is a bundled name or a folder;
`random` is the paper's size with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import torch
from ase import Atoms
from ase.build import molecule
from rich.console import Console
from rich.table import Table
from torch import Tensor

from deepdft.architectures import create_model
from deepdft.architectures.deepdft.model import DeepDFT
from deepdft.architectures.layers import softplus
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import FloatArray
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.geometry.graphs import atom_graph, probe_edges
from deepdft.models.bundled import open_checkpoint
from deepdft.prediction import choose_grid
from deepdft.prediction.engine import ProbeEngine

LIQUID = Path(__file__).with_name("ethylene_carbonate.xyz")
CHUNK = 4096

Product = Callable[[Tensor, Tensor], Tensor]


def rounded(x: Tensor, bits: int) -> Tensor:
    """Round float32 to `bits` bits of mantissa, the first included (to nearest, ties to even)."""
    mantissa, exponent = torch.frexp(x)
    return torch.ldexp(torch.round(torch.ldexp(mantissa, torch.tensor(bits))), exponent - bits)


def in_one(bits: int) -> Product:
    """Return products of operands rounded to `bits` bits."""
    return lambda x, weight: torch.matmul(rounded(x, bits), rounded(weight, bits))


def in_half(x: Tensor, weight: Tensor) -> Tensor:
    """Return products of operands in half precision."""
    return torch.matmul(x.half().float(), weight.half().float())


def in_three(x: Tensor, weight: Tensor) -> Tensor:
    """Return products of operands split into two halves, as `deepdft.architectures.deepdft.gpu`."""
    (a, b), (c, d) = split(x), split(weight)
    return torch.matmul(a, c) + (torch.matmul(b, c) + torch.matmul(a, d)) / 2048.0


def split(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two halves of numbers."""
    high = x.half().float()
    return high, ((x - high) * 2048.0).half().float()


WAYS: dict[str, Product] = {
    "float32": torch.matmul,
    "float16, three products": in_three,
    "TF32": in_one(11),
    "float16": in_half,
    "bfloat16": in_one(8),
}


def readout(network: DeepDFT, messages: Tensor, product: Product) -> Tensor:
    """Do what `network.readout` does, with another matrix product."""

    def node_network(values: Tensor) -> Tensor:
        hidden = softplus(product(values, network.probe_W46.weight) + network.probe_W46.bias)
        for_update, for_gate = hidden.chunk(2, dim=2)
        update = product(for_update, network.probe_W5.weight) + network.probe_W5.bias
        gate = torch.sigmoid(product(for_gate, network.probe_W7.weight) + network.probe_W7.bias)
        state = torch.zeros_like(update[0])
        for t in range(network.steps):
            state = torch.lerp(update[t], state, gate[t])
        layer, last = network.readout_hidden, network.readout_output
        hidden = softplus(product(state, layer.weight.T) + layer.bias)
        return hidden @ last.weight[0] + last.bias

    density = node_network(messages)
    if network.smooth:
        density = density - node_network(torch.zeros_like(messages[:, :1]))
    return density


def densities(network: DeepDFT, atoms: Atoms, points: FloatArray) -> dict[str, FloatArray]:
    """Return the network's density at points in every way, and in float64."""
    exact = create_model("deepdft", network.options.model_dump(), network.elements)
    exact.load_state_dict(network.state_dict())
    exact.double().eval()
    results: dict[str, list[FloatArray]] = {name: [] for name in ("float64", *WAYS)}
    with torch.inference_mode():
        senders = network.encode(atom_graph(atoms, network.atom_cutoff).to(dtype=torch.float32))
        table = network.probe_table()
        for first in range(0, len(points), CHUNK):
            edges = probe_edges(atoms, points[first : first + CHUNK], network.cutoff)
            messages = network.messages(senders, edges.to(dtype=torch.float32), table)
            reached = edges.in_reach
            for name in results:
                value = (
                    exact.readout(messages.double())
                    if name == "float64"
                    else readout(network, messages, WAYS[name]).double()
                )
                results[name].append(torch.where(reached, value, 0.0).numpy())
    return {name: np.concatenate(parts) for name, parts in results.items()}


def on_gpu(network: DeepDFT, atoms: Atoms, points: FloatArray) -> dict[str, FloatArray]:
    """Return the network's density as the kernels give it, where there is a GPU with Triton."""
    if not torch.cuda.is_available():
        return {}
    results = {}
    moved = network.to("cuda")
    for products in ("float32", "float16"):
        moved.settings = EvaluationSettings(products=products)
        engine = ProbeEngine(moved, None, atoms)
        if engine.is_fused:
            results[f"GPU, {products}"] = engine.at(points)
    network.to("cpu")
    return results


def main() -> None:
    """Run the comparison and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="?", default="default")
    parser.add_argument("--spacing", type=float, default=0.25, help="of the grids, Å")
    arguments = parser.parse_args()
    network, baseline = load(arguments.model)
    structures = {name: molecule(name) for name in ("CH3CONH2", "C6H6", "CH3CH2OH")}
    structures["liquid"] = ase.io.read(LIQUID)
    console = Console(width=110)
    options = network.options
    console.print(
        f"{arguments.model}: T = {options.steps}, F = {options.channels}, "
        f"{'learns the difference to superposed atoms' if baseline else 'whole density'}; "
        f"grids of {arguments.spacing} Å; eps_mae in percent, largest difference in e/Å³"
    )
    table = Table("products", *structures, "largest difference", highlight=False)
    rows: dict[str, list[str]] = {}
    largest: dict[str, float] = {}
    for atoms in structures.values():
        points = choose_grid(atoms, spacing=arguments.spacing).points().reshape(-1, 3)
        found = densities(network, atoms, points) | on_gpu(network, atoms, points)
        exact = found.pop("float64")
        whole = exact if baseline is None else exact + SuperposedAtoms(baseline, atoms).at(points)
        for name, values in found.items():
            difference = np.abs(values - exact)
            rows.setdefault(name, []).append(f"{100 * difference.sum() / np.abs(whole).sum():.1e}")
            largest[name] = max(largest.get(name, 0.0), float(difference.max()))
    for name, row in rows.items():
        table.add_row(name, *row, f"{largest[name]:.1e}")
    console.print(table)


def load(name: str) -> tuple[DeepDFT, AtomicDensityTables | None]:
    """Return a network in float32 and the baseline below it."""
    if name == "random":
        torch.manual_seed(0)
        network = create_model("deepdft", {}, (1, 6, 7, 8))
        baseline = None
    else:
        checkpoint = open_checkpoint(name)
        network = checkpoint.network
        baseline = checkpoint.baseline and AtomicDensityTables.load(checkpoint.baseline)
    assert isinstance(network, DeepDFT), "other architectures have no such products"
    return network.float().eval().requires_grad_(False), baseline


if __name__ == "__main__":
    main()
