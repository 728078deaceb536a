"""Parsing and writing a CHGCAR: time and peak memory, against ASE and pymatgen in one run.

    python benchmarks/parse_chgcar.py --size 1e9

Every measurement is a process of its own that does nothing else and does it twice. The first time
loads what is compiled, and has the system find the memory, which on virtual machines can take
longer than the parsing; the second time is timed. The file is in the page cache. The programs take
turns and the median of the repetitions counts. (What takes half a minute, ASE and pymatgen's
writer, is done once, and with a small file the first time.) Elapsed time is what a user waits for;
we parse on all processors at hand, the others on one. Processor time is what the work costs, and
the fairer measure where other work keeps the processors busy. Peak memory is what comes on top of
the imports (Linux only); of reading, the result included.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import median

import numpy as np
from ase import Atoms

from deepdft.density import Grid
from deepdft.formats import open_writer
from deepdft.threads import available_threads
from reporting import add_output_option, write_result

MEASURE = """
import sys, time, warnings
warnings.simplefilter("ignore")
first, path, other = sys.argv[1:]

def memory(field):
    with open("/proc/self/status") as file:
        return int(next(line.split()[1] for line in file if line.startswith(field)))

{setup}
def prepare(path):
    return {before}

def work(path, given):
    return {action}

work(first, prepare(first))
given = prepare(path)
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak counts from here
base = memory("VmRSS")
began, worked = time.perf_counter(), time.process_time()
result = work(path, given)
elapsed, processor = time.perf_counter() - began, time.process_time() - worked
peak = memory("VmHWM")
result = result or given
print(elapsed, processor, peak - base, {mean})
"""

_OURS = "result.values.mean() * result.grid.volume"
_ASE = "result.chg[0].mean() * result.atoms[0].get_volume()"
_PYMATGEN = "result.data['total'].mean()"
_IMPORTS = {
    "deepdft": "from deepdft.formats import read, write",
    "ASE": "from ase.calculators.vasp import VaspChargeDensity",
    "pymatgen": "from pymatgen.io.vasp import Chgcar",
}
READERS = {
    "deepdft": (_IMPORTS["deepdft"], "None", "read(path)", _OURS),
    "ASE": (_IMPORTS["ASE"], "None", "VaspChargeDensity(path)", _ASE),
    "pymatgen": (_IMPORTS["pymatgen"], "None", "Chgcar.from_file(path)", _PYMATGEN),
}
WRITERS = {
    "deepdft": (_IMPORTS["deepdft"], "read(path)", "write(other, given)", _OURS),
    "ASE": (
        _IMPORTS["ASE"],
        "VaspChargeDensity(path)",
        "given.write(other, format='chgcar')",
        _ASE,
    ),
    "pymatgen": (
        _IMPORTS["pymatgen"],
        "Chgcar.from_file(path)",
        "given.write_file(other)",
        _PYMATGEN,
    ),
}
"""For each program: imports, what is given, the work, and the electrons of the result."""

SMALL = 1.2e7
"""Bytes of the small file: enough for everything to be used that the large one needs."""
SLOW = {"reading": ("ASE",), "writing": ("ASE", "pymatgen")}
"""What is measured once, and after a small file."""


@dataclass(frozen=True)
class Measured:
    """One measurement: seconds elapsed and of the processor, peak memory (MiB), and electrons."""

    elapsed: float
    processor: float
    memory: float
    electrons: float


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


def measure(parts: tuple[str, str, str, str], first: Path, path: Path) -> Measured:
    """Run one measurement in a process of its own."""
    script = MEASURE.format(**dict(zip(("setup", "before", "action", "mean"), parts, strict=True)))
    other = path.with_name("written.CHGCAR")
    command = [sys.executable, "-c", script, str(first), str(path), str(other)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    other.unlink(missing_ok=True)
    seconds, processor, memory, electrons = (float(word) for word in result.stdout.split())
    return Measured(seconds, processor, memory / 1024, electrons)


def medians(rounds: list[Measured]) -> Measured:
    """Return the median of every number."""
    return Measured(
        *(median(getattr(one, field.name) for one in rounds) for field in fields(Measured))
    )


def compare(
    title: str,
    programs: dict[str, tuple[str, str, str, str]],
    files: tuple[Path, Path],
    repetitions: int,
) -> dict[str, float]:
    """Measure in turns and print one table; return its figures by name."""
    size = files[1].stat().st_size / 1e6
    slow = SLOW[title]
    rounds: dict[str, list[Measured]] = {name: [] for name in programs}
    for repetition in range(repetitions):
        for name, parts in programs.items():
            if repetition == 0 or name not in slow:
                first = files[0] if name in slow else files[1]
                rounds[name].append(measure(parts, first, files[1]))
    columns = ("seconds", "x ours", "cpu seconds", "x ours", "MB/s", "peak memory", "electrons")
    print(f"\n{title:12s}" + "".join(f"{column:>14s}" for column in columns))
    ours = medians(rounds["deepdft"])
    figures: dict[str, float] = {}
    for name, taken in rounds.items():
        one = medians(taken)
        numbers = f"{one.elapsed:14.3f}{one.elapsed / ours.elapsed:14.1f}"
        numbers += f"{one.processor:14.3f}{one.processor / ours.processor:14.1f}"
        numbers += f"{size / one.elapsed:14.0f}{one.memory:10.0f} MiB{one.electrons:14.8f}"
        print(f"{name:12s}{numbers}", flush=True)
        figures |= {
            f"{title} {name} seconds": one.elapsed,
            f"{title} {name} processor seconds": one.processor,
            f"{title} {name} memory MiB": one.memory,
            f"{title} {name} electrons": one.electrons,
            f"{title} {name} elapsed ratio to ours": one.elapsed / ours.elapsed,
            f"{title} {name} processor ratio to ours": one.processor / ours.processor,
        }
    theirs = zip(rounds["pymatgen"], rounds["deepdft"], strict=False)
    ratios = sorted(one.elapsed / mine.elapsed for one, mine in theirs)
    print("pymatgen / deepdft, elapsed, round by round: " + " ".join(f"{r:.1f}" for r in ratios))
    return figures | {f"{title} least elapsed ratio of pymatgen to ours": ratios[0]}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=float, default=1e9, help="bytes of text")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--write-size", type=float, default=1e8, help="bytes of text written")
    parser.add_argument("--folder", type=Path, help="where the files go; a temporary folder")
    add_output_option(parser)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        small, path = Path(folder, "small.CHGCAR"), Path(folder, "CHGCAR")
        make_file(small, min(SMALL, options.size))
        make_file(path, options.size)
        values = path.stat().st_size / 18.2e6
        cores = available_threads()
        load = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
        size = f"{path.stat().st_size / 1e6:.0f} MB, {values:.1f} million values"
        print(f"{size}, {cores} cores, load {load} at the start")
        figures = compare("reading", READERS, (small, path), options.repetitions)
        if options.write_size != options.size:
            make_file(path, options.write_size)
        figures |= compare("writing", WRITERS, (small, path), max(1, options.repetitions - 2))
    rows = [
        (name, f"{value:.1f} times ours")
        for name, value in figures.items()
        if name.endswith("ratio to ours") and "deepdft" not in name
    ]
    write_result(options, "parse_chgcar", rows, figures)


if __name__ == "__main__":
    main()
