"""Feed damaged and hostile files to every text and binary reader; print counts and findings.

    python benchmarks/fuzz_readers.py --count 20000 --seed 0

A finding is anything but a density or one sentence: an exception that is not a `DeepDFTError`, a
read that takes longer than five seconds, or memory out of proportion to the file. The inputs are
small valid files of every format, cut, spliced and peppered with what programs and disks have
produced.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import struct
import sys
import tempfile
import time
import tracemalloc
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid, LevelOfTheory
from deepdft.errors import DeepDFTError
from deepdft.io import read, write
from deepdft.io.formats import FORMATS

SLOWEST = 5.0
"""Seconds a read of a small file may take."""
MEMORY = 64 << 20
"""Bytes a read may allocate: two buffers and some; the files are a few kB."""

OPTIONS = {"f.molden": {"spacing": 1.0}}
"""A coarse grid for orbitals: it is the reader that is tested."""

TOKENS = (
    b"NaN", b"-nan", b"Infinity", b"*******", b"1e999", b"1E+400", b"-1", b"0", b"-0.0",
    b"1000000000000", b"99999999999999999999", b"4294967296", b"2147483648", b"-2147483648",
    b"1.2-101", b"-.76010E+01", b"1.5D+00", b"0x10", b"1_000", b"1,5", b"--1", b"1e", b"e5", b".",
    b"+", b"", b"\xce\xb1\xce\xb2", b"\xff\xfe", b"\x00", b"9" * 5000, b"." * 300, b"1" * 40,
    "１２".encode(), b"Direct", b"augmentation occupancies", b"Xx", b"H", b"\r", b"1e-400",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """An input that was not answered as it should be."""

    format: str
    problem: str
    data: bytes


def seeds() -> dict[str, list[bytes]]:
    """Return small valid files of every format, by the file name that announces it."""
    rng = np.random.default_rng(0)
    atoms = Atoms("HOH", positions=rng.random((3, 3)) * 3, cell=[[4, 0, 0], [1, 4, 0], [0, 0.5, 5]])
    atoms.pbc = True
    shape = (5, 4, 6)
    grid = Grid(np.asarray(atoms.cell), shape)
    values = rng.random(shape) * 0.2
    level = LevelOfTheory("PBE", "PAW", "400 eV", "VASP")
    plain = Density(atoms, grid, values, None, level)
    spin = Density(atoms, grid, values, rng.normal(size=(3, *shape)) * 0.01, level)
    occupied = Density(atoms, grid, values, None, level, {"augmentation": [_OCCUPANCIES]})
    found: dict[str, list[bytes]] = collections.defaultdict(list)
    names = {"f.cube": [plain, spin], "f.CHGCAR": [plain, spin, occupied], "f.CHG": [spin]}
    names |= {"f.xsf": [plain], "f.npz": [plain, spin]}
    with tempfile.TemporaryDirectory() as folder:
        for name, densities in names.items():
            for density in densities:
                write(Path(folder, name), density)
                found[name].append(Path(folder, name).read_bytes())
        write(Path(folder, "f.cube.gz"), plain)
        found["f.cube.gz"] = [Path(folder, "f.cube.gz").read_bytes()]
        found["f.CHGCAR.zz"] = [_rewritten(folder, "f.CHGCAR.zz", plain)]
        found["f.xsf.lz4"] = [_rewritten(folder, "f.xsf.lz4", plain)]
        found["f.CHG.zst"] = [_rewritten(folder, "f.CHG.zst", plain)]
    found["f.molden"] = [MOLDEN]
    found["f.filplot"] = [plot_file(values)]
    found["f.RHO"] = [siesta_file(values)]
    # Not Molden: unnamed, it would be evaluated on a fine grid.
    known = [entries for name, entries in found.items() if name != "f.molden"]
    found["unnamed"] = [data for entries in known for data in entries]
    return dict(found)


_OCCUPANCIES = "augmentation occupancies   1   3\n  0.1E+00 0.2E+00 0.3E+00\n  0.1000E+00\n"


MOLDEN = b"""[Molden Format]
[Title]
 hydrogen
[Atoms] AU
H 1 1 0.0 0.0 0.0
H 2 1 0.0 0.0 1.4
[GTO]
1 0
 s 3 1.0
  3.425250914 0.1543289673
  0.6239137298 0.5353281423
  0.1688554040 0.4446345422

2 0
 s 3 1.0
  3.425250914 0.1543289673
  0.6239137298 0.5353281423
  0.1688554040 0.4446345422

[MO]
 Sym= a
 Ene= -0.5
 Spin= Alpha
 Occup= 2.0
 1 0.5489
 2 0.5489
 Sym= b
 Ene= 0.6
 Spin= Alpha
 Occup= 0.0
 1 1.2115
 2 -1.2115
"""


def _rewritten(folder: str, name: str, density: Density) -> bytes:
    write(Path(folder, name), density)
    return Path(folder, name).read_bytes()


def plot_file(values: np.ndarray) -> bytes:
    """Return a plot file as pp.x writes it."""
    nx, ny, nz = values.shape
    lines = ["water", f"{nx:8d}{ny:8d}{nz:8d}" * 2 + f"{3:8d}{2:8d}"]
    lines.append(f"{0:6d}" + "".join(f"{x:12.8f}" for x in (7.5, 0, 0, 0, 0, 0)))
    lines += ["  1.0 0.0 0.0", "  0.2 1.0 0.0", "  0.0 0.0 1.3"]
    lines.append(f"{100:20.10f}{4:20.10f}{25:20.10f}{0:6d}")
    lines += ["   1   H     1.00", "   2   O     6.00"]
    lines += [
        f"{i + 1:4d}   {0.1 * i:15.9f}{0.2:15.9f}{0.3:15.9f}   {k:2d}"
        for i, k in enumerate((1, 2, 1))
    ]
    numbers = [f"{value:17.9E}" for value in values.ravel(order="F")]
    lines += ["".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)]
    return ("\n".join(lines) + "\n").encode()


def siesta_file(values: np.ndarray, order: str = "<", kind: str = "f4") -> bytes:
    """Return a SIESTA grid of one component."""
    cell = np.diag([7.0, 8.0, 9.0]).astype(order + "f8").tobytes()
    records = [cell, struct.pack(order + "4i", *values.shape, 1)]
    for plane in values.transpose(2, 1, 0):
        records += [row.astype(order + kind).tobytes() for row in plane]
    marks = [struct.pack(order + "i", len(record)) for record in records]
    return b"".join(mark + record + mark for mark, record in zip(marks, records, strict=True))


def mutations(data: bytes, others: list[bytes], rng: random.Random) -> Iterator[bytes]:
    """Yield damaged versions of a file, for ever."""
    while True:
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            damaged = bytearray(_damage(bytes(damaged), others, rng))
        yield bytes(damaged)


def _damage(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    kind = rng.randrange(10)
    place = rng.randrange(len(data) + 1)
    head = rng.randrange(min(len(data), 700) + 1)  # headers are where readers believe
    if kind == 0:
        return data[:place]
    if kind == 1:
        return (
            data[:place]
            + bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
            + data[place + 1 :]
        )
    if kind == 2:
        lines = data.split(b"\n")
        index = rng.randrange(len(lines))
        lines[index : index + 1] = rng.choice(([], [lines[index]] * 2, [b""], [b"  "]))
        return b"\n".join(lines)
    if kind == 3:
        return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b" ", b"\n\n")))
    if kind == 4:
        other = rng.choice(others)
        return data[:place] + other[rng.randrange(len(other) + 1) :]
    if kind == 5 and len(data) > head + 8:
        number = rng.choice((0, -1, 1 << 31, 10**12, 255))
        return data[:head] + struct.pack("<q", number)[: rng.choice((4, 8))] + data[head + 8 :]
    return _replace_token(data, head if kind < 9 else place, rng)


def _replace_token(data: bytes, place: int, rng: random.Random) -> bytes:
    start = place
    while start < len(data) and data[start : start + 1].isspace():
        start += 1
    stop = start
    while stop < len(data) and not data[stop : stop + 1].isspace():
        stop += 1
    return data[:start] + rng.choice(TOKENS) + data[stop:]


def check(path: Path, name: str, data: bytes) -> Finding | None:
    """Read one input; return what is wrong with the answer, if anything."""
    path.write_bytes(data)
    tracemalloc.reset_peak()
    began = time.perf_counter()
    before = tracemalloc.get_traced_memory()[0]
    problem = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            density = read(path, **OPTIONS.get(name, {}))
        if not np.isfinite(density.values).all():
            problem = "a value is not finite"
    except DeepDFTError as error:
        if "\n" in str(error).strip() or len(str(error)) > 1000:
            problem = f"not one sentence: {error}"
    except Exception as error:
        problem = f"{type(error).__name__}: {error}"
    seconds = time.perf_counter() - began
    memory = tracemalloc.get_traced_memory()[1] - before
    if not problem and seconds > SLOWEST:
        problem = f"took {seconds:.1f} s"
    if not problem and memory > MEMORY + 100 * len(data):
        problem = f"allocated {memory >> 20} MiB for {len(data)} bytes"
    return Finding(name, problem, data) if problem else None


def run(count: int, seed: int) -> tuple[dict[str, int], list[Finding]]:
    """Try `count` inputs spread over the formats; return the counts and the findings."""
    rng = random.Random(seed)
    files = seeds()
    for entry in FORMATS:
        entry.sniff(b"")  # imports the reader, which takes its time once
    counts: dict[str, int] = dict.fromkeys(files, 0)
    findings = []
    others = [data for entries in files.values() for data in entries]
    with tempfile.TemporaryDirectory() as folder:
        for name, entries in files.items():
            for data in entries:  # also compiles the kernels, which takes its time
                Path(folder, name).write_bytes(data)
                read(Path(folder, name))
        tracemalloc.start()
        try:
            sources = {
                name: [mutations(data, others, rng) for data in entries]
                for name, entries in files.items()
            }
            for index in range(count):
                name = list(files)[index % len(files)]
                data = next(rng.choice(sources[name]))
                finding = check(Path(folder, name), name, data)
                counts[name] += 1
                findings += [finding] if finding else []
        finally:
            tracemalloc.stop()
    return counts, findings


def main() -> int:
    """Run and report; the exit status is 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=20000, help="inputs to try")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs that are findings")
    options = parser.parse_args()
    began = time.perf_counter()
    counts, findings = run(options.count, options.seed)
    found = collections.Counter(finding.format for finding in findings)
    for name, count in counts.items():
        print(f"{name:14s} {count:8d} inputs {found[name]:6d} findings")
    print(f"{'all':14s} {sum(counts.values()):8d} inputs {len(findings):6d} findings "
          f"in {time.perf_counter() - began:.0f} s")  # fmt: skip
    for finding in findings[:20]:
        print(f"  {finding.format}: {finding.problem[:200]}")
    if options.keep is not None:
        os.makedirs(options.keep, exist_ok=True)
        for index, finding in enumerate(findings):
            Path(options.keep, f"{index}.{finding.format}").write_bytes(finding.data)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
