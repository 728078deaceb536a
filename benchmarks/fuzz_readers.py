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

from deepdft.density import Density
from deepdft.errors import DeepDFTError
from deepdft.formats import read
from deepdft.formats.points import PointDensity, read_points
from deepdft.formats.registry import FORMATS
from deepdft.storage import tar_members as archive
from fuzz_inputs import ARRAY, SAVE, seeds

SLOWEST = 5.0
"""Seconds a read of a small file may take."""
MEMORY = 64 << 20
"""Bytes a read may allocate: two buffers and some; the files are a few kB."""

OPTIONS: dict[str, dict[str, float]] = {"f.molden": {"spacing": 1.0}}
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


def read_input(path: Path, name: str) -> list[Density | PointDensity]:
    """Read one input in the way that its kind is read."""
    if name == "tar":
        return [read(member) for member in archive.members(path)]
    if name == "points.h5":
        return [read_points(path)]
    if name == "f.info.json":
        return [read(path.with_name("f.npy"))]
    if name == "data-file-schema.xml":
        return [read(path.with_name("charge-density.dat"))]
    return [read(path, **OPTIONS.get(name, {}))]


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
            densities = read_input(path, name)
        if not all(np.isfinite(density.values).all() for density in densities):
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
        for name in (*ARRAY, *SAVE):
            Path(folder, name).write_bytes(files[name][0])
        for name, entries in files.items():
            for data in entries:  # also compiles the kernels, which takes its time
                Path(folder, name).write_bytes(data)
                read_input(Path(folder, name), name)
        tracemalloc.start()
        try:
            sources = {
                name: [mutations(data, others, rng) for data in entries]
                for name, entries in files.items()
            }
            for index in range(count):
                name = list(files)[index % len(files)]
                data = next(rng.choice(sources[name]))
                for other in next((pair for pair in (ARRAY, SAVE) if name in pair), ()):
                    # The other of the two is whole.
                    if other != name:
                        Path(folder, other).write_bytes(files[other][0])
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
