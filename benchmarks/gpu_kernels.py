"""The GPU kernels as machine code: registers, instructions a probe, and the rates they allow.

    python benchmarks/gpu_kernels.py

Needs Triton and no GPU: the kernels are compiled for an H100 (compute capability 9.0) and the
instructions of their loops are counted. From these and from the hardware's rates follow the least
times a probe that the last table shows. Where Triton cannot compile
(`--small` compiles only the narrowest kernels, as the tests do) it says so and fails.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import triton
from rich.console import Console
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from deepdft.architectures.deepdft import gpu as triton_gated
from deepdft.density import Grid
from deepdft.fields.atoms import gpu as triton_superposition
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.kernels.triton import messages as triton_messages
from deepdft.kernels.triton import pairs as triton_pairs
from deepdft.kernels.triton import sums as triton_sums

LIQUID = Path(__file__).with_name("ethylene_carbonate.xyz")

POINTER_WORDS = {
    "i64": ("first", "last", "starts", "places", "group_starts", "candidate_starts", "offsets",
            "active", "order", "receivers"),
    "i32": ("atoms", "codes", "candidate_atoms", "pair_atoms", "pair_codes", "left", "species"),
    "fp64": ("geometry", "points", "candidate_positions", "numbers", "polynomials", "spacing"),
    "fp16": ("weights", "messages"),
    "fp32": ("pair_places", "table", "biases", "output", "entries", "gradient", "distances",
             "rows", "parts", "slopes", "senders"),
}  # fmt: skip
"""Arguments by the type they point to; the rest is given with the kernel."""

MULTIPROCESSORS, CLOCK = 132, 1.755e9
"""Of an H100 SXM: multiprocessors, and the clock in Hz that it is specified at under load."""

HALF_PRODUCTS = 2 * 2048
"""Operations of half-precision tensor cores, per clock and multiprocessor."""

SCHEDULERS = 4
"""Warps that a multiprocessor issues an instruction of in a clock."""


@dataclass
class Kernel:
    """A kernel to compile.

    Attributes:
        name: what to call it.
        function: the kernel.
        constants: its compile-time arguments.
        types: of arguments that are not in `POINTER_WORDS`, or differ from it.
        options: of the compilation.
    """

    name: str
    function: Any
    constants: dict[str, Any]
    types: dict[str, str]
    options: dict[str, Any]


@dataclass
class Code:
    """What was compiled: resources, and instructions of the whole and of its largest loop."""

    registers: int
    spilled: int
    shared: int
    total: Counter[str]
    loop: Counter[str]
    seconds: float


def kernels(width: int, count: int) -> list[Kernel]:
    """Return the kernels for `width` channels and `count` coefficients a piece."""
    exact = {"num_warps": 4, "enable_fp_fusion": False}
    fused = {"num_warps": 4, "enable_fp_fusion": True}
    single = {"num_warps": 1, "enable_fp_fusion": True}
    box = dict.fromkeys("abcdef", "i32")
    pairs = {"SIZE": 8, "GROUPS": 32, "ATOMS": 16}
    groups = triton_sums._tiling(width).groups
    half = {"rows": "i32", "out": "*fp16", "places": "*fp32"}
    training = {"WIDTH": width}
    adjoint = {**training, "EDGES": 8, "SPLITS": 4}
    single_weights = {"weights": "*fp32", "out": "*fp32"}
    tiles = {"WIDTH": width, "ROWS": triton_gated.ROWS}
    superposed = {"SIZE": 8, "POINTS": 128}
    return [
        Kernel("grid points", triton_pairs._grid_kernel,
               {"X": 2, "Y": 2, "Z": 2, "GROUPS": 128}, box, exact),
        Kernel("pairs, counted", triton_pairs._pair_kernel,
               {**pairs, "COUNTING": True}, {}, exact),
        Kernel("pairs, listed", triton_pairs._pair_kernel,
               {**pairs, "COUNTING": False}, {}, exact),
        Kernel("sums, groups of 8", triton_sums._sum_kernel,
               {"SIZE": 8, "COUNT": count, "CHANNELS": width, "GROUPS": groups, "HALVES": 2},
               half, single),
        Kernel("sums, single points", triton_sums._sum_kernel,
               {"SIZE": 1, "COUNT": 5, "CHANNELS": width, "GROUPS": groups, "HALVES": 2},
               half, single),
        Kernel("node networks", triton_gated._density_kernel, {**tiles, "HALVES": 2},
               {"shift": "fp32", "result": "*fp32", "rows": "i32"}, {**fused, "num_stages": 1}),
        Kernel("node networks, float16", triton_gated._density_kernel, {**tiles, "HALVES": 1},
               {"shift": "fp32", "result": "*fp32", "rows": "i32"}, {**fused, "num_stages": 1}),
        Kernel("superposed atoms", triton_superposition._superposition_kernel, superposed,
               {"result": "*fp64"}, fused),
        Kernel("training: weights", triton_messages._weight_kernel,
               {"EDGES": 128, "SLOPES": True}, single_weights, fused),
        Kernel("training: messages", triton_messages._forward_kernel, training,
               single_weights, single),
        Kernel("training: table", triton_messages._table_kernel, adjoint, single_weights, fused),
        Kernel("training: senders", triton_messages._sender_kernel, adjoint,
               single_weights, fused),
        Kernel("training: distances", triton_messages._distance_kernel,
               {**training, "EDGES": 8}, {**single_weights, "result": "*fp32"}, fused),
    ]  # fmt: skip


def compiled(kernel: Kernel, capability: int) -> Code:
    """Compile a kernel and look at its machine code."""
    names = kernel.function.arg_names
    known = {name: f"*{kind}" for kind, words in POINTER_WORDS.items() for name in words}
    types = {
        name: "constexpr" if name in kernel.constants
        else kernel.types.get(name, known.get(name, "i32"))
        for name in names
    }  # fmt: skip
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, name in enumerate(names)
        if types[name].startswith("*") or name in ("rows", "channels")
    }
    constants = {(names.index(name),): value for name, value in kernel.constants.items()}
    source = ASTSource(kernel.function, types, constexprs=constants, attrs=aligned)
    begun = time.perf_counter()
    binary = triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options=kernel.options
    )
    seconds = time.perf_counter() - begun
    text, resources = disassembled(binary.asm["cubin"])
    found = re.search(r"REG:(\d+) STACK:(\d+)", resources)
    assert found is not None, resources
    lines = re.findall(
        r"^\s+/\*([0-9a-f]+)\*/\s+(?:@!?U?P\w+ )?([A-Z0-9_.]+)\s*([^;]*);", text, re.MULTILINE
    )
    code = [(int(address, 16), name, rest) for address, name, rest in lines]
    return Code(
        int(found[1]), int(found[2]), binary.metadata.shared,
        Counter(name.split(".")[0] for _, name, _ in code), largest_loop(code), seconds,
    )  # fmt: skip


def disassembled(cubin: bytes) -> tuple[str, str]:
    """Return the machine code, and the resources it uses, as text."""
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        texts = []
        for option in ("-sass", "-res-usage"):
            done = subprocess.run(
                [tool, option, file.name], capture_output=True, text=True, check=True
            )
            texts.append(done.stdout + done.stderr)
    return texts[0], texts[1]


def largest_loop(code: list[tuple[int, str, str]]) -> Counter[str]:
    """Return the instructions of the longest loop that has no loop inside."""
    loops = []
    for address, name, rest in code:
        target = re.search(r"0x([0-9a-f]+)", rest)
        if name.startswith("BRA") and target and int(target[1], 16) < address:
            loops.append((int(target[1], 16), address))
    inner = [
        (low, high) for low, high in loops
        if not any(low <= a and b <= high and (a, b) != (low, high) for a, b in loops)
    ]  # fmt: skip
    if not inner:
        return Counter()
    low, high = max(inner, key=lambda loop: loop[1] - loop[0])
    return Counter(name.split(".")[0] for address, name, _ in code if low <= address <= high)


def main() -> None:
    """Compile, count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", action="store_true", help="only the narrowest kernels")
    parser.add_argument(
        "--coefficients",
        type=int,
        default=8,
        help="of a piece of the filters: 8 for random weights, 14 for the bundled model",
    )
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--steps", type=int, default=6, help="interaction steps T")
    arguments = parser.parse_args()
    width, count = (16, 5) if arguments.small else (128, arguments.coefficients)
    console = Console(width=110)
    table = Table("kernel", "registers", "spilled B", "shared B", "loop", "of it FMA", "loads", "s")
    found: dict[str, Code] = {}
    for kernel in kernels(width, count):
        code = found[kernel.name] = compiled(kernel, arguments.capability)
        table.add_row(
            kernel.name, str(code.registers), str(code.spilled), str(code.shared),
            str(code.loop.total()), str(code.loop["FFMA"] + code.loop["DFMA"]),
            str(code.loop["LDG"]), f"{code.seconds:.1f}",
        )  # fmt: skip
    console.print(
        f"Triton {triton.__version__}, compute capability {arguments.capability / 10}; "
        f"{width} channels, {count} coefficients"
    )
    console.print(table)
    if not arguments.small:
        print_times(console, arguments, found)


def atoms_in_reach(cutoff: float = 4.0, samples: int = 300) -> tuple[float, float]:
    """Return how many atoms reach a group of 8 probes, and lie near a block, in the liquid."""
    atoms = ase.io.read(LIQUID)
    grid = Grid.of_cell(atoms, 0.1)
    generator = np.random.default_rng(0)
    reaching, listed = [], []
    for _ in range(samples):
        first = generator.integers(0, np.array(grid.shape) - 32)
        points = grid.points(first, first + 2).reshape(-1, 3)
        images = images_in_reach(
            atoms.positions, atoms.cell, atoms.pbc, points.min(0), points.max(0), cutoff
        )
        distances = np.linalg.norm(images.positions[:, None] - points, axis=-1)
        reaching.append(int((distances < cutoff).any(axis=1).sum()))
        corners = grid.points(first, first + 32).reshape(-1, 3)
        lower, upper = corners.min(axis=0), corners.max(axis=0)
        search = NeighbourhoodSearch(atoms, lower, upper, cutoff)
        listed.append(len(search.near(lower, upper)[0]))
    return float(np.mean(reaching)), float(np.mean(listed))


def print_times(console: Console, arguments: argparse.Namespace, found: dict[str, Code]) -> None:
    """Print the least time a probe takes in each kernel, by what limits it."""
    f, steps = 128, arguments.steps
    atoms, candidates = atoms_in_reach()
    sums, nodes = found["sums, groups of 8"].loop, found["node networks"].loop
    # Loop of the sums: a warp, a pair, a step; FSEL is skipped but for pairs partly in reach.
    sum_issues = (sums.total() - sums["FSEL"]) * atoms * steps / 8
    # Loop of the node networks: four warps, 64 probes, a step; the readout is a quarter step.
    node_issues = nodes.total() * 4 / 64 * (steps + 0.25)
    listed, counted = found["pairs, listed"].loop.total(), found["pairs, counted"].loop.total()
    pair_issues = (listed + counted) * 4 * candidates / (32 * 16 * 8)
    issue_rate = MULTIPROCESSORS * CLOCK * SCHEDULERS
    loads = sums["LDG"] * atoms * steps / 8
    products = 3 * (steps * 8 + 2) * f * f
    rows = [
        ("pairs", "issue", pair_issues / issue_rate),
        ("sums", "issue", sum_issues / issue_rate),
        ("sums", "FMA units", sums["FFMA"] * atoms * steps / 8 / issue_rate),
        ("sums", "first-level cache", loads / (MULTIPROCESSORS * CLOCK)),
        ("node networks", "issue", node_issues / issue_rate),
        ("node networks", "tensor cores",
         products / (MULTIPROCESSORS * CLOCK * HALF_PRODUCTS)),
        ("messages", "device memory", 2 * 4 * steps * f / 3.35e12),
    ]  # fmt: skip
    table = Table("stage", "limited by", "ns a probe", "million probes/s")
    for stage, limit, seconds in rows:
        table.add_row(stage, limit, f"{1e9 * seconds:.2f}", f"{1e-6 / seconds:.0f}")
    total = sum(max(s for name, _, s in rows if name == stage) for stage in
                ("pairs", "sums", "node networks"))  # fmt: skip
    table.add_row("all, one after the other", "", f"{1e9 * total:.2f}", f"{1e-6 / total:.0f}")
    console.print(
        f"H100 at {CLOCK / 1e9} GHz; T = {steps}, F = {f}; liquid at 0.1 Å: {atoms:.1f} atoms in "
        f"reach of a group, {candidates:.0f} candidates for a block"
    )
    console.print(table)
    console.print(
        "needed for 20 (50) million probes/s: "
        f"{20e6 * total:.0%} ({50e6 * total:.0%}) of these rates",
        highlight=False,
    )


if __name__ == "__main__":
    main()
