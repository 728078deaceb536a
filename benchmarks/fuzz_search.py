"""The search in one process (benchmarks/fuzz.py): what is a finding, and blind damage."""

from __future__ import annotations

import contextlib
import hashlib
import json
import random
import resource
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SLOWEST = 5.0
"""Seconds of the processor that a small input may take."""
MEMORY = 256 << 20
"""Bytes by which an input may let the process grow."""
LIMIT = 8 << 30
"""Bytes of address space; libraries alone take one or two of these."""


@dataclass(frozen=True)
class Finding:
    """An input that was not answered as it should be.

    Attributes:
        target: what it was given to.
        problem: what happened, in a line.
        data: the input.
    """

    target: str
    problem: str
    data: bytes

    @property
    def key(self) -> str:
        """What findings of one cause have in common."""
        words = self.problem.split(" | ")[-1] if " | " in self.problem else self.problem[:16]
        return hashlib.sha256(f"{self.target} {words}".encode()).hexdigest()[:12]


def check(
    name: str, run: Any, data: bytes, folder: Path, slowest: float = SLOWEST
) -> Finding | None:
    """Give an input to a target; return what is wrong with the answer, if anything."""
    from deepdft.errors import DeepDFTError

    began = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    problem = ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            run(data, folder)
    except DeepDFTError as error:
        if "\n" in str(error).strip() or len(str(error)) > 1000:
            problem = f"not one sentence: {str(error)[:500]}"
    except Exception as error:
        problem = f"{type(error).__name__}: {error} | {_place(error)}"
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if not problem and seconds > slowest:
        problem = f"took {seconds:.1f} s"
    if not problem and grown > MEMORY + 100 * len(data):
        problem = f"allocated {grown >> 20} MiB for {len(data)} bytes"
    return Finding(name, " ".join(problem.split()), data) if problem else None


def _place(error: Exception) -> str:
    """Return the last line of the project and the last of all that an exception came through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "deepdft" in frame.filename]
    chosen = [*own[-1:], *frames[-1:]]
    return " < ".join(f"{Path(f.filename).name}:{f.name}:{f.lineno}" for f in chosen)


class Search:
    """The search in one process: counts inputs, keeps findings.

    Args:
        name: the target.
        keep: folder of the target, for findings, counts and the input that is being tried: what
            ends the process is not lost.
        folder: where the target may write files.
    """

    def __init__(self, name: str, keep: Path, folder: Path) -> None:
        from deepdft.errors import DeepDFTError
        from fuzz_targets import targets

        self.name, self._folder = name, folder
        self._findings, self._report = keep / "findings", keep / "report.json"
        self._trying = keep / "trying"
        self.target = targets([name])[name]
        self.count = 0
        self.found: dict[str, str] = {}
        self._written = 0.0
        self._findings.mkdir(parents=True, exist_ok=True)
        for data in self.target.seeds:  # also compiles and imports, which takes its time
            with warnings.catch_warnings(), contextlib.suppress(DeepDFTError):
                warnings.simplefilter("ignore")
                self.target.run(data, folder)

    def one(self, data: bytes) -> None:
        """Try one input."""
        self._trying.write_bytes(data)
        found = check(self.name, self.target.run, data, self._folder)
        self.count += 1
        if found is not None and found.key not in self.found:
            self.found[found.key] = found.problem
            (self._findings / found.key).write_bytes(found.data)
            told = self._findings / f"{found.key}.txt"
            told.write_text(found.problem + "\n", encoding="utf-8")
        if found is not None or time.monotonic() - self._written > 0.5:
            self.tell()

    def tell(self) -> None:
        """Write the counts."""
        self._written = time.monotonic()
        known = {"inputs": self.count, "found": self.found}
        self._report.write_text(json.dumps(known), encoding="utf-8")


def folder_of(name: str, keep: Path) -> Path:
    """Return the folder in which what belongs to a target is kept."""
    return keep / name.replace(" ", "-").replace("/", "-")


def by_turns(names: Sequence[str], seconds: float, keep: Path, report: Path) -> None:
    """Damage inputs of all targets blindly and by turns, in this process."""
    from fuzz_mutations import damaged

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    rng = random.Random(time.time_ns())
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        searches = [Search(name, folder_of(name, keep), Path(folder)) for name in names]
        end = time.monotonic() + seconds  # what comes before is much the same, however long
        while time.monotonic() < end:
            for search in searches:
                seeds = search.target.seeds
                for _ in range(_TURN):
                    search.one(damaged(rng.choice(seeds), seeds, rng))
            known = {one.name: {"inputs": one.count, "found": one.found} for one in searches}
            report.write_text(json.dumps(known), encoding="utf-8")


_TURN = 20
"""Inputs of a target, one after the other."""


def run(count: int, seed: int, names: Sequence[str]) -> tuple[dict[str, int], list[Finding]]:
    """Try `count` blindly damaged inputs in this process; return counts and findings.

    Args:
        count: inputs, spread over the targets.
        seed: of the damage.
        names: targets, by the beginnings of their names.
    """
    from fuzz_mutations import damaged
    from fuzz_targets import targets

    rng = random.Random(seed)
    chosen = targets(names)
    others = [data for target in chosen.values() for data in target.seeds]
    counts: dict[str, int] = dict.fromkeys(chosen, 0)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for target in chosen.values():
            for data in target.seeds:  # also compiles the kernels, which takes its time
                target.run(data, Path(folder))
        for index in range(count):
            name = list(chosen)[index % len(chosen)]
            data = damaged(rng.choice(chosen[name].seeds), others, rng)
            finding = check(name, chosen[name].run, data, Path(folder))
            counts[name] += 1
            findings += [finding] if finding else []
    return counts, findings
