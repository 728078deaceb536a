"""Parsing and writing a CHGCAR: time and peak memory, against ASE and pymatgen in one run.

    python benchmarks/parse_chgcar.py --size 1e9

Every measurement is a process of its own that does nothing else; the file is in the page cache. Our
first run in a fresh installation also compiles, so it is repeated and the best of the repetitions
counts, for all three. Peak memory is what comes on top of the imports (Linux only): of reading, the
result included. On a busy machine, compare the seconds of processor time: we use all processors,
the others one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Grid
from deepdft.io import open_writer
from reporting import add_output_option, write_result

MEASURE = """
import sys, time, warnings
warnings.simplefilter("ignore")
path, other, repetitions = sys.argv[1], sys.argv[2], int(sys.argv[3])

def memory(field):
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(field)))

{setup}
best = least = float("inf")
for _ in range(repetitions):
    result = None
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak counts from here
    base = memory("VmRSS")
    began, worked = time.perf_counter(), time.process_time()
    {action}
    best = min(best, time.perf_counter() - began)
    least = min(least, time.process_time() - worked)
    peak = memory("VmHWM")
print(best, least, peak - base, {mean})
"""

READERS = {
    "deepdft": (
        "from deepdft.io import read",
        "result = read(path)",
        "result.values.mean() * result.grid.volume",
    ),
    "ASE": (
        "from ase.calculators.vasp import VaspChargeDensity",
        "result = VaspChargeDensity(path)",
        "result.chg[0].mean() * result.atoms[0].get_volume()",
    ),
    "pymatgen": (
        "from pymatgen.io.vasp import Chgcar",
        "result = Chgcar.from_file(path)",
        "result.data['total'].mean()",
    ),
}

WRITERS = {
    "deepdft": (
        "from deepdft.io import read, write; density = read(path)",
        "write(other, density)",
        "density.n_electrons",
    ),
    "ASE": (
        "from ase.calculators.vasp import VaspChargeDensity; density = VaspChargeDensity(path)",
        "density.write(other, format='chgcar')",
        "density.chg[0].mean() * density.atoms[0].get_volume()",
    ),
    "pymatgen": (
        "from pymatgen.io.vasp import Chgcar; density = Chgcar.from_file(path)",
        "density.write_file(other)",
        "density.data['total'].mean()",
    ),
}


def make_file(path: Path, size: float) -> None:
    """Write a CHGCAR of about `size` bytes, layer by layer."""
    count = max(8, round((size / 18.2) ** (1 / 3)))
    atoms = Atoms(
        "SiO2", scaled_positions=np.random.default_rng(0).random((3, 3)), cell=np.eye(3) * 12
    )
    atoms.pbc = True
    grid = Grid(np.asarray(atoms.cell), (count, count, count))
    rng = np.random.default_rng(1)
    with open_writer(path, atoms, grid) as writer:
        for _ in range(count):
            layer = np.exp(rng.normal(-4.0, 1.5, (count, count, 1)))
            writer.write_slab(layer)


def measure(parts: tuple[str, str, str], path: Path, other: Path, repetitions: int) -> list[float]:
    """Return seconds, processor seconds, peak memory beyond the imports (MiB), and electrons."""
    setup, action, mean = parts
    script = MEASURE.format(setup=setup, action=action, mean=mean)
    command = [sys.executable, "-c", script, str(path), str(other), str(repetitions)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, processor, memory, electrons = (float(word) for word in result.stdout.split())
    return [seconds, processor, memory / 1024, electrons]


def report(
    title: str, programs: dict[str, tuple[str, str, str]], path: Path, repetitions: int
) -> list[tuple[str, str]]:
    """Measure and print one table; return its main figures."""
    size = path.stat().st_size / 1e6
    other = path.with_name("written.CHGCAR")
    ours = [0.0, 0.0]
    columns = ("seconds", "/ ours", "cpu seconds", "/ ours", "MB/s", "peak memory", "electrons")
    print(f"\n{title:12s}" + "".join(f"{column:>14s}" for column in columns))
    rows = []
    for name, parts in programs.items():
        seconds, processor, memory, electrons = measure(parts, path, other, repetitions)
        rows.append(
            (
                f"{title} {size:,.0f} MB, {name}",
                f"{seconds:.2f} s, {processor:.2f} s of processor time, {memory:,.0f} MiB",
            )
        )
        ours = ours if any(ours) else [seconds, processor]
        numbers = f"{seconds:14.3f}{seconds / ours[0]:14.1f}{processor:14.3f}"
        numbers += f"{processor / ours[1]:14.1f}{size / seconds:14.0f}"
        print(f"{name:12s}{numbers}{memory:10.0f} MiB{electrons:14.8f}", flush=True)
    other.unlink(missing_ok=True)
    return rows


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=float, default=1e9, help="bytes of text")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--write-size", type=float, default=1e8, help="bytes of text written")
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder")
    add_output_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "CHGCAR")
        make_file(path, options.size)
        values = path.stat().st_size / 18.2e6
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        print(f"{path.stat().st_size / 1e6:.0f} MB, {values:.1f} million values, {cores} cores")
        rows = report("reading", READERS, path, options.repetitions)
        if options.write_size != options.size:
            make_file(path, options.write_size)
        rows += report("writing", WRITERS, path, max(1, options.repetitions - 1))
    write_result(options, "parse_chgcar", rows, None)


if __name__ == "__main__":
    main()
