"""This version against an older one: is anything slower? In one run, in turns.

    git worktree add ../old COMMIT
    python benchmarks/old_and_new.py ../old [--pairs 7] [--only engine]

OLD_TREE is a whole checkout of the older version. Every measurement is a process of its own with
the `src` and the `benchmarks` of one of the two trees, pinned to one processor: old, new, new, old
and so on for every case. A process repeats its work for some seconds and its fastest repeat
counts, in seconds of the processor; compilation happens in a first process of each, which is not
counted. Printed are the medians of both, the median of the pairs' ratios, old to new, and that of
their best: below 1 the new version is slower. Seven pairs take about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from reporting import add_output_option, write_result

HERE = Path(__file__).resolve().parents[1]

COMMON = r"""
import os, sys, tempfile, time
from argparse import Namespace
from pathlib import Path
tree, old, budget = Path(sys.argv[1]), sys.argv[2] == "old", float(sys.argv[3])
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
sys.path.insert(0, str(tree / "benchmarks"))
import numpy as np, torch
import ase.io
import deepdft
from deepdft.density import Grid
assert tree in Path(deepdft.__file__).parents, deepdft.__file__
torch.set_num_threads(1)
bundled = Path(deepdft.__file__).parent / "bundled"
liquid = ase.io.read(tree / "benchmarks" / "ethylene_carbonate.xyz")
molecule = ase.io.read(bundled / "molecules" / "C6H9NO.xyz")
generator = np.random.default_rng(0)

def report(work):
    work()
    fastest, until = float("inf"), time.process_time() + budget
    while time.process_time() < until:
        begun = time.process_time()
        work()
        fastest = min(fastest, time.process_time() - begun)
    print("seconds", fastest)

def boxes(network, atoms, grid, box):
    from deepdft.prediction.engine import ProbeEngine
    engine = ProbeEngine(network, None, atoms, 1)
    on_box = engine.on_grid if old else engine.box
    report(lambda: on_box(grid, (0, 0, 0), box))

def steps(network, atoms, probes):
    import training_step as module
    network.train().requires_grad_(True)
    graphs, edges = [], []
    for seed in range(2):
        moved = atoms.copy()
        moved.rattle(0.05, seed=seed)
        points = generator.random((probes, 3)) @ moved.cell.array
        graph = module.atom_graph(moved, network.atom_cutoff, directions=True)
        graphs.append(graph.to(dtype=torch.float32))
        found = module.probe_edges(moved, points, network.cutoff, directions=True)
        edges.append(found.to(dtype=torch.float32))
    joined = module.concatenate_edges(edges, [len(atoms)] * 2)
    batch = module.concatenate_graphs(graphs), joined, torch.full((joined.n_receivers,), 0.3)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-5)
    report(lambda: module.train(network, optimizer, batch))

# One and the same network, whatever it is called.
trained_on_qm9 = "qm9" if (bundled / "models" / "qm9").exists() else "default"

def batches(dataset):
    from deepdft.training.batches import BatchBuilder
    builder = BatchBuilder(dataset, 4.0, None)
    def draw():
        generator = np.random.default_rng(1)
        for _ in range(10):
            builder.build([0, 1], 1000, 0.5, generator)
    report(draw)
"""
"""What every child begins with: `old` says which of the two trees it is of."""

CASES = {
    "engine": """
import engine
options = Namespace(steps=6, channels=128, envelope="published")
boxes(engine.random_network(options, liquid), liquid, Grid.of_cell(liquid, 0.1), (24, 24, 24))
""",
    "equivariant": """
network = deepdft.load_model(trained_on_qm9, "cpu").network
boxes(network, molecule, Grid.around(molecule, 0.15, 3.0), (48, 48, 48))
""",
    "deepdft_training_step": """
import training_step
torch.manual_seed(0)
steps(training_step.create_model("deepdft", {}, [1, 6, 8]), liquid, 1000)
""",
    "equivariant_training_step": """
steps(deepdft.load_model(trained_on_qm9, "cpu").network, liquid, 1000)
""",
    "batches_from_a_store": """
import loading
with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    loading.write_tar(folder / "a.tar", [loading.made_up_density(i, 64) for i in range(2)])
    level = loading.LevelOfTheory("PBE", "PAW")
    loading.fill_store(folder / "a.store", loading.open_dataset(folder / "a.tar", level))
    dataset = loading.StoreDataset if old else loading.TrainingStoreDataset
    batches(dataset(folder / "a.store"))
""",
    "batches_from_orbitals": """
batches(deepdft.open_dataset(bundled / "densities" / "qm9_test" / "molecules.npz"))
""",
    "chgcar": """
import parse_chgcar
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "CHGCAR"
    parse_chgcar.make_file(path, 2e7)
    report(lambda: deepdft.read(path))
""",
    "orbitals_on_a_grid": """
density = deepdft.open_dataset(bundled / "densities" / "qm9_test" / "molecules.npz").density(0)
grid = Grid.around(density.atoms, 0.2, 3.0)
if old:
    report(lambda: density.slab(grid, 0, 0, 8))
else:
    report(lambda: density.box(grid, (0, 0, 0), (8, *grid.shape[1:])))
""",
    "cell_of_10080_atoms": """
import scaling
options = Namespace(
    spacing=0.25, steps=6, channels=128, threads=1, device="cpu", folder=None, fraction=10 / 252
)
found = scaling.measure(1e4, options)
assert found["atoms"] == 10080, found
print("seconds", scaling.whole(found, "processor"))
""",
}
"""What is measured, by name: what a child does after `COMMON`."""


def main() -> None:
    """Measure the cases and print a row each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("old_tree", type=Path, help="checkout of the older version")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--only", choices=CASES, action="append", help="may be repeated")
    parser.add_argument("--seconds", type=float, default=2.0, help="of repeats, in each process")
    add_output_option(parser)
    options = parser.parse_args()
    trees = {"old": options.old_tree.resolve(), "new": HERE}
    rows, figures = [], {}
    for case in options.only or CASES:
        for name, tree in trees.items():
            measured(case, name, tree, 0.0)
        found = [
            # A machine that grows faster or slower meanwhile favours neither.
            {name: measured(case, name, trees[name], options.seconds) for name in order}
            for order in islice(cycle((("old", "new"), ("new", "old"))), options.pairs)
        ]
        ratios = sorted(pair["old"] / pair["new"] for pair in found)
        old, new = (1e3 * median(pair[name] for pair in found) for name in trees)
        best = min(pair["old"] for pair in found) / min(pair["new"] for pair in found)
        rows.append(
            (
                case.replace("_", " "),
                f"{old:.2f} ms before, {new:.2f} ms now: {median(ratios):.3f} times as fast "
                f"({ratios[0]:.3f} to {ratios[-1]:.3f}; best against best {best:.3f})",
            )
        )
        print(f"{rows[-1][0]:26s} {rows[-1][1]}", flush=True)
        figures[case] = found
    write_result(options, "old_and_new", rows, figures)


def measured(case: str, name: str, tree: Path, seconds: float) -> float:
    """Return the seconds of a case, measured in a process of its own."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    child = subprocess.run(
        [sys.executable, "-c", COMMON + CASES[case], str(tree), name, str(seconds)],
        env={**os.environ, **threads, "PYTHONPATH": str(tree / "src")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return float(child.stdout.split()[-1])


if __name__ == "__main__":
    main()
