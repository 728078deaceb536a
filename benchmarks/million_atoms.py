"""A million atoms once: a liquid streamed into a store, killed on the way, and gone on with.

    python benchmarks/million_atoms.py --atoms 1e4           # a minute or two: does it work?
    python benchmarks/million_atoms.py --folder /data/million # 10^6 atoms, 1 Å, 2 workers

The cell of liquid ethylene carbonate beside this file is repeated to the size and its atoms moved a
little, so that no two cells are alike. The command is that of a user,

    deepdft predict liquid.extxyz -o liquid.zarr -m ethylene-carbonate --spacing 1.0 --workers 2

When a share of the blocks is there (`--kill-at`), the command's process is killed with SIGKILL, and
those that it leaves have a minute to end by themselves. Then the same command is given again. Told
are the time of each stage, the largest memory of all processes at one time (a page that several
share counts once), the electrons, and what the store weighs. `--verify` predicts once more, without
a kill, and compares every value. Needs Linux, whose /proc tells the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
from ase import Atoms

from deepdft.storage.chunked_density import ChunkedDensity
from reporting import add_output_option, write_result
from scaling import LIQUID, repeats_for

PATIENCE = 60.0
"""Seconds that the processes of a killed command have to end by themselves."""


@dataclass
class Run:
    """What was seen of one run of the command.

    Attributes:
        seconds: by stage: reading until the store exists, encoding until the atoms' states are
            there, filling until the end.
        peak: largest memory of all processes at one time, bytes.
        peak_single: largest memory of one of them, bytes.
        killed: whether it was killed.
        orphans: seconds until the last process that it left had ended; None if one had to be ended.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    peak: int = 0
    peak_single: int = 0
    killed: bool = False
    orphans: float | None = 0.0


def main() -> None:
    """Build the structure, predict, kill, go on, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--atoms", type=float, default=1e6)
    parser.add_argument("--spacing", type=float, default=1.0, help="Å")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--threads", type=int, default=None, help="of all workers together")
    parser.add_argument("--model", default="ethylene-carbonate")
    parser.add_argument("--kill-at", type=float, default=0.3, help="share of the blocks; 0: never")
    parser.add_argument("--folder", type=Path, default=None, help="kept; default: removed at once")
    parser.add_argument("--verify", action="store_true", help="predict again and compare")
    add_output_option(parser)
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        report(measure(folder, options), options)


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run all of it in a folder."""
    structure = folder / "liquid.extxyz"
    n_atoms = build(structure, options.atoms)
    print(f"{structure}: {n_atoms:,} atoms", file=sys.stderr, flush=True)
    store = folder / "liquid.zarr"
    runs = [watched(structure, store, options, options.kill_at)]
    if runs[0].killed:
        left = ChunkedDensity(store)
        done = sum(map(left.has_chunk, range(left.n_chunks)))
        print(f"killed with {done} of {left.n_chunks} blocks", file=sys.stderr, flush=True)
        runs.append(watched(structure, store, options, 0.0))
    summary = json.loads(store.with_suffix(".json").read_text(encoding="utf-8"))[0]
    opened = ChunkedDensity(store)
    result = {
        "atoms": n_atoms,
        "points": opened.grid.n_points,
        "blocks": opened.n_chunks,
        "electrons": summary["properties"]["electrons"],
        "expected": summary["expected_electrons"],
        "peak_gib": max(run.peak for run in runs) / 2**30,
        "peak_single_gib": max(run.peak_single for run in runs) / 2**30,
        "store_mb": size_of(store) / 1e6,
        "runs": [vars(run) for run in runs],
    }
    if options.verify:
        again = folder / "again.zarr"
        watched(structure, again, options, 0.0)
        other = ChunkedDensity(again)
        for chunk in range(opened.n_chunks):
            np.testing.assert_array_equal(opened.read_chunk(chunk), other.read_chunk(chunk))
        result["verified"] = True
    return result


def build(path: Path, size: float) -> int:
    """Write the structure, where it is not there yet; return its number of atoms."""
    cell = ase.io.read(LIQUID)
    assert isinstance(cell, Atoms)
    repeats = repeats_for(size / len(cell))
    if not path.exists():
        atoms = cell.repeat(repeats)
        atoms.rattle(0.02, seed=0)
        ase.io.write(path, atoms, format="extxyz")
    return int(len(cell) * np.prod(repeats))


def watched(structure: Path, store: Path, options: argparse.Namespace, kill_at: float) -> Run:
    """Run the command, look at it twice a second, and kill it when it has done its share."""
    words = [
        sys.executable, "-m", "deepdft", "predict", str(structure), "-o", str(store),
        "-m", options.model, "--spacing", str(options.spacing), "--workers", str(options.workers),
        "--json", str(store.with_suffix(".json")),
    ]  # fmt: skip
    if options.threads:
        words += ["--threads", str(options.threads)]
    run, began = Run(), time.perf_counter()
    process = subprocess.Popen(words, start_new_session=True)
    look = Look(store)
    while process.poll() is None:
        time.sleep(0.5)
        run.seconds = look.stages(began)
        total, largest = memory(process.pid)
        run.peak, run.peak_single = max(run.peak, total), max(run.peak_single, largest)
        if kill_at and look.share() >= kill_at:
            process.send_signal(signal.SIGKILL)
            process.wait()
            run.killed = True
            run.orphans = wait_for_others(process.pid)
    run.seconds["all"] = time.perf_counter() - began
    if process.returncode and not run.killed:
        sys.exit(f"million_atoms.py: the command ended with {process.returncode}.")
    return run


class Look:
    """Looks at how far a store is, from outside.

    Args:
        store: its folder.
    """

    def __init__(self, store: Path) -> None:
        self._store = store
        self._chunks = store / "density" / "c"
        self._seen: dict[str, float] = {}
        self._total: int | None = None

    def stages(self, began: float) -> dict[str, float]:
        """Return after how many seconds the store, the states and a new block were there."""
        now = time.perf_counter() - began
        marks = {
            "store": self._store / "zarr.json",
            "states": self._store / "density" / "unfinished" / "atom_states.npy",
        }
        for name, path in marks.items():
            if name not in self._seen and path.exists():
                self._seen[name] = now
        return dict(self._seen)

    def share(self) -> float:
        """Return which share of the blocks is there."""
        if not self._chunks.is_dir():
            return 0.0
        if self._total is None:
            self._total = ChunkedDensity(self._store).n_chunks
        found = sum(len(names) for _, _, names in os.walk(self._chunks))
        return found / self._total


def of_session(leader: int) -> Iterator[int]:
    """Yield the processes of the session that a process began."""
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, IndexError, ValueError):
                after_name = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
                if int(after_name[3]) == leader and after_name[0] != "Z":
                    yield int(entry)


def memory(leader: int) -> tuple[int, int]:
    """Return the memory of a session's processes, and of the largest of them, bytes.

    A page that several processes share is divided among them.
    """
    sizes = [0]
    for process in of_session(leader):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    sizes.append(1024 * int(line.split()[1]))
    return sum(sizes), max(sizes)


def wait_for_others(leader: int) -> float | None:
    """Wait until a session is empty; end what is left of it after a while."""
    began = time.perf_counter()
    while time.perf_counter() - began < PATIENCE:
        if not list(of_session(leader)):
            return time.perf_counter() - began
        time.sleep(0.5)
    for process in of_session(leader):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return None


def size_of(folder: Path) -> int:
    """Return how many bytes the files of a folder have."""
    return sum(
        Path(root, name).stat().st_size for root, _, names in os.walk(folder) for name in names
    )


def report(result: dict[str, Any], options: argparse.Namespace) -> None:
    """Print the figures, and write them where that is asked for."""
    rows = [
        ("atoms", f"{result['atoms']:,}"),
        ("points", f"{result['points']:,} in {result['blocks']:,} blocks"),
    ]
    for number, run in enumerate(result["runs"], 1):
        stages = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in run["seconds"].items())
        rows.append((f"run {number}{', killed' if run['killed'] else ''}", stages))
        if run["killed"]:
            left = "had to be ended" if run["orphans"] is None else f"{run['orphans']:.1f} s"
            rows.append(("what a kill left, until its end", left))
    off = result["electrons"] / result["expected"] - 1
    rows += [
        ("electrons", f"{result['electrons']:,.1f}, {100 * off:+.4f} % of {result['expected']:,}"),
        ("largest memory of all processes", f"{result['peak_gib']:.2f} GiB"),
        ("of one process", f"{result['peak_single_gib']:.2f} GiB"),
        ("store", f"{result['store_mb']:,.1f} MB"),
    ]
    if result.get("verified"):
        rows.append(("the same as without a kill", "to the last bit"))
    for name, text in rows:
        print(f"{name:34}{text}")
    write_result(options, "million_atoms", rows, result)


if __name__ == "__main__":
    main()
