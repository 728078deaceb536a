"""Densities from orbitals against an older version of this package, in one run.

    OMP_NUM_THREADS=1 python benchmarks/orbitals.py OLD_SOURCE DATA [--atoms 17] [--pairs 7]

OLD_SOURCE is the `src` folder of the older version, DATA an archive of orbitals of molecules, or a
folder of them. Both versions run in processes of their own, in turn; the medians of processor time
and of the ratios of each pair are printed: for a slab of a grid in float32 and float64, for points,
and for the probes that training draws.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

CHILD = r"""
import json, sys, time
import numpy as np
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.density import Grid

data, atoms, old = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "old"
dataset = OrbitalDataset(data)
index = next(i for i in range(len(dataset)) if len(dataset.atoms(i)) == atoms)
density = dataset.density(index)
grid = Grid.around(density.atoms, 0.1, 5.0)
middle = grid.shape[0] // 2
start, stop = (middle, 0, 0), (middle + 8, *grid.shape[1:])
generator = np.random.default_rng(0)
points = density.atoms.positions[generator.integers(atoms, size=20000)]
points = points + generator.normal(size=points.shape)
if old:
    import torch
    torch.set_num_threads(1)
    def slab(kind):
        return density.slab(grid, 0, start[0], stop[0], dtype=getattr(torch, kind))
    at = density.values_at
else:
    def slab(kind):
        return density.box(grid, start, stop, dtype=getattr(np, kind))
    at = density.at
def draw():
    generator = np.random.default_rng(1)
    return dataset.draw(index, 400, generator, cutoff=4.0, importance=0.5)
works = {
    "slab, float32": (lambda: slab("float32"), 1),
    "slab, float64": (lambda: slab("float64"), 1),
    "20,000 points": (lambda: at(points), 1),
    "400 points": (lambda: at(points[:400]), 20),
    "draw of 400 probes": (draw, 20),
}
for work, _ in works.values():
    work()
for line in sys.stdin:
    found = {}
    for name, (work, repeats) in works.items():
        started = time.process_time()
        for _ in range(repeats):
            work()
        found[name] = (time.process_time() - started) / repeats
    print(json.dumps(found), flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("old", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--atoms", type=int, default=17)
    parser.add_argument("--pairs", type=int, default=7)
    arguments = parser.parse_args()
    sources = {"old": arguments.old, "new": Path(__file__).resolve().parents[1] / "src"}
    children = {
        name: subprocess.Popen(
            [sys.executable, "-c", CHILD, str(arguments.data), str(arguments.atoms), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"},
        )
        for name, source in sources.items()
    }
    found: dict[str, list[dict[str, float]]] = {"old": [], "new": []}
    for _ in range(arguments.pairs):
        for name, child in children.items():
            child.stdin.write("\n")
            child.stdin.flush()
            found[name].append(json.loads(child.stdout.readline()))
    for child in children.values():
        child.stdin.close()
        child.wait()
    for work in found["old"][0]:
        old, new = (np.array([times[work] for times in found[name]]) for name in ("old", "new"))
        print(
            f"{work:20} {1000 * np.median(old):9.2f} ms before, {1000 * np.median(new):9.2f} ms "
            f"now, {np.median(old / new):5.1f} times as fast"
        )


if __name__ == "__main__":
    main()
