"""Feed damaged and hostile input to whatever takes input from strangers; count what goes wrong.

    python benchmarks/fuzz.py --minutes 60
    python benchmarks/fuzz.py --minutes 5 --target SMILES --target 'model model.json'

A finding is anything but an answer or one sentence: an exception that is not a `DeepDFTError`, the
end of the process, an input that takes longer than five seconds of the processor, or memory out of
proportion. With atheris (`pip install atheris`) the search is guided by which lines an input
reaches; without, inputs are damaged blindly. What is found useful is kept in a folder, from which
the next call goes on. Each target has a process of its own, with a limit to its memory.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import hashlib
import importlib.util
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(1, str(HERE.parent))

SLOWEST = 5.0
"""Seconds of the processor that a small input may take."""
MEMORY = 256 << 20
"""Bytes by which an input may let the process grow."""
LIMIT = 8 << 30
"""Bytes of address space; libraries alone take one or two of these."""
_INSTRUMENTED = (
    "formats", "structures", "storage", "models", "training", "data", "web", "levels", "density",
    "architectures",
)  # fmt: skip
_COMPILED = (
    "formats.text", "data.grid_probes", "architectures.on_cpu", "architectures.deepdft",
    "architectures.equivariant",
)  # fmt: skip
"""Modules that numba compiles from their bytecode, or that hold what it does."""


def _not_followed() -> list[str]:
    """Return the modules of the package whose lines do not guide the search."""
    package = HERE.parent / "src" / "deepdft"
    names = [
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix(".__init__")
        for path in package.rglob("*.py")
    ]
    followed = [
        name for name in names if name.startswith(_INSTRUMENTED) and not name.startswith(_COMPILED)
    ]
    return [f"deepdft.{name}" for name in names if name not in followed]


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
        words = self.problem.split(" | ")[-1] if " | " in self.problem else self.problem[:40]
        return hashlib.sha256(f"{self.target} {words}".encode()).hexdigest()[:12]


def check(name: str, run: Any, data: bytes, folder: Path) -> Finding | None:
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
            problem = f"not one sentence: {error}"
    except Exception as error:
        problem = f"{type(error).__name__}: {error} | {_place(error)}"
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    if not problem and seconds > SLOWEST:
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
        keep: folder for findings.
        report: file for counts, written now and then.
    """

    def __init__(self, name: str, keep: Path, report: Path) -> None:
        from deepdft.errors import DeepDFTError
        from fuzz_targets import targets

        self.name, self._keep, self._report = name, keep, report
        self.target = targets()[name]
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        self.count = 0
        self.found: dict[str, str] = {}
        self._written = 0.0
        self._rng = random.Random(0)
        for data in self.target.seeds:  # also compiles and imports, which takes its time
            with warnings.catch_warnings(), contextlib.suppress(DeepDFTError):
                warnings.simplefilter("ignore")
                self.target.run(data, Path(self._folder.name))

    def one(self, data: bytes) -> None:
        """Try one input."""
        found = check(self.name, self.target.run, data, Path(self._folder.name))
        self.count += 1
        if found is not None and found.key not in self.found:
            self.found[found.key] = found.problem
            self._keep.mkdir(parents=True, exist_ok=True)
            (self._keep / found.key).write_bytes(found.data)
            (self._keep / f"{found.key}.txt").write_text(found.problem + "\n", encoding="utf-8")
        if found is not None or time.monotonic() - self._written > 0.5:
            self._written = time.monotonic()
            self._report.write_text(
                json.dumps({"inputs": self.count, "found": self.found}), encoding="utf-8"
            )

    def mutated(self, data: bytes, largest: int, seed: int) -> bytes:
        """Return a changed input, as atheris asks for it."""
        import atheris

        from fuzz_mutations import damaged

        rng = random.Random(seed)
        if rng.random() < 0.5:
            changed: bytes = atheris.Mutate(data, len(data) or 1)
            return changed[:largest]
        return damaged(data, self.target.seeds, rng)[:largest]


def search(name: str, seconds: int, corpus: Path, report: Path) -> None:
    """Search in this process until the time is over, or something ends it."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    guided = importlib.util.find_spec("atheris") is not None
    if not guided:
        blind = Search(name, corpus.with_suffix(".findings"), report)
        _blindly(blind, seconds)
        return
    import atheris

    with atheris.instrument_imports(include=["deepdft"], exclude=_not_followed()):
        import deepdft.formats
        import deepdft.formats.npz
        import deepdft.formats.registry
        import deepdft.models.folder
        import deepdft.storage.compression
        import deepdft.structures.files
        import deepdft.training.config

        for entry in deepdft.formats.registry.FORMATS:
            entry.sniff(b"")  # imports the reader
        guided_search = Search(name, corpus.with_suffix(".findings"), report)
    corpus.mkdir(parents=True, exist_ok=True)
    for data in guided_search.target.seeds:
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)
    options = [
        f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=0", "-max_len=200000",
        f"-artifact_prefix={corpus.with_suffix('.findings')}/", "-print_final_stats=0",
        "-detect_leaks=0", "-verbosity=0",
    ]  # fmt: skip
    corpus.with_suffix(".findings").mkdir(parents=True, exist_ok=True)
    atheris.Setup(
        [sys.argv[0], *options, str(corpus)],
        guided_search.one,
        custom_mutator=guided_search.mutated,
    )
    atheris.Fuzz()


def _blindly(search: Search, seconds: float, least: int = 0) -> None:
    from fuzz_mutations import damaged

    rng = random.Random(time.time_ns())
    end, last = time.monotonic() + seconds, search.count + least
    while time.monotonic() < end or search.count < last:
        search.one(damaged(rng.choice(search.target.seeds), search.target.seeds, rng))


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
    chosen = {name: one for name, one in targets().items() if name.startswith(tuple(names))}
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


def by_turns(names: Sequence[str], seconds: float, keep: Path, report: Path) -> None:
    """Damage inputs of all targets blindly and by turns, in this process."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    searches = []
    for name in names:
        corpus = keep / name.replace(" ", "-").replace("/", "-")
        searches.append(Search(name, corpus.with_suffix(".findings"), report.with_suffix(".part")))
    end = time.monotonic() + seconds  # what comes before is much the same, however long
    while time.monotonic() < end:
        for search in searches:
            _blindly(search, 0.0, _TURN)
        known = {one.name: {"inputs": one.count, "found": one.found} for one in searches}
        report.write_text(json.dumps(known), encoding="utf-8")


_TURN = 20
"""Inputs of a target, one after the other."""


@dataclass
class Total:
    """What came of one target."""

    inputs: int = 0
    seconds: float = 0.0
    ended: int = 0
    found: dict[str, str] | None = None


def supervise(names: Sequence[str], minutes: float, folder: Path) -> dict[str, Total]:
    """Give each target its share of the time, in processes that are begun again when they end."""
    totals = {}
    share = 60 * minutes / len(names)
    for name in names:
        total = totals[name] = Total(found={})
        corpus = folder / name.replace(" ", "-").replace("/", "-")
        began = time.monotonic()
        while (left := share - (time.monotonic() - began)) > 2 and total.ended < 20:
            _one_process(name, int(left), corpus, total)
        total.seconds = time.monotonic() - began
        print(_line(name, total), flush=True)
    return totals


def blind(names: Sequence[str], minutes: float, folder: Path) -> dict[str, Total]:
    """Try all targets by turns in one process, which is begun again when it ends."""
    totals = {name: Total(found={}) for name in names}
    report, log = folder / "blind.json", folder / "blind.log"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    while (left := 60 * minutes - (time.monotonic() - began)) > 2:
        report.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--child", "", "--seconds", str(int(left))]
        command += ["--corpus", str(folder), "--report", str(report)]
        for name in names:
            command += ["--target", name]
        with log.open("ab") as output:
            process = subprocess.run(command, stdout=output, stderr=output, check=False)
        known = json.loads(report.read_text()) if report.exists() else {}
        for name, one in known.items():
            totals[name].inputs += one["inputs"]
            totals[name].found = {**(totals[name].found or {}), **one["found"]}
        if process.returncode != 0:
            last = report.with_suffix(".part")
            print(f"ended with {process.returncode}; see {log} and {last}", flush=True)
            if not known:
                break
    for name, total in totals.items():
        total.seconds = (time.monotonic() - began) / len(totals)
        print(_line(name, total), flush=True)
    return totals


def _one_process(name: str, seconds: int, corpus: Path, total: Total) -> None:
    corpus.parent.mkdir(parents=True, exist_ok=True)
    report, log = corpus.with_suffix(".json"), corpus.with_suffix(".log")
    report.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--child", name, "--seconds", str(seconds)]
    command += ["--corpus", str(corpus), "--report", str(report)]
    with log.open("wb") as output:
        process = subprocess.run(command, stdout=output, stderr=output, check=False)
    known = json.loads(report.read_text()) if report.exists() else {"inputs": 0, "found": {}}
    total.inputs += known["inputs"]
    assert total.found is not None
    total.found |= known["found"]
    if process.returncode != 0:
        total.ended += 1
        last = log.read_text(errors="replace").strip().splitlines()[-1:] or [""]
        total.found[f"exit {process.returncode}"] = f"ended with {process.returncode}: {last[0]}"


def _line(name: str, total: Total) -> str:
    kinds = collections.Counter(_kind(problem) for problem in (total.found or {}).values())
    shown = "  ".join(
        f"{kinds[kind]:4d} {kind}" for kind in ("exceptions", "hangs", "memory", "ends")
    )
    return f"{name:34s} {total.inputs:9,d} inputs {total.seconds:6.0f} s {shown}"


def _kind(problem: str) -> str:
    if problem.startswith("took"):
        return "hangs"
    if problem.startswith(("allocated", "MemoryError")):
        return "memory"
    return "ends" if problem.startswith("ended") else "exceptions"


def main() -> int:
    """Run and report; the exit status is 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0, help="for all targets together")
    parser.add_argument(
        "--target", action="append", help="beginning of a name; repeat; default: all"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    parser.add_argument("--corpus", type=Path, default=HERE.parent / ".fuzz", help="what is kept")
    parser.add_argument(
        "--blind", action="store_true",
        help="all targets in one process by turns, unguided: no time is lost with starting",
    )  # fmt: skip
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "":
        by_turns(options.target, options.seconds, options.corpus, options.report)
        return 0
    if options.child is not None:
        search(options.child, options.seconds, options.corpus, options.report)
        return 0
    from fuzz_targets import targets

    wanted = tuple(options.target or ("",))
    names = [name for name in targets() if name.startswith(wanted)]
    if options.list or not names:
        print("\n".join(names or targets()))
        return 0
    way = blind if options.blind else supervise
    totals = way(names, options.minutes, options.corpus)
    inputs = sum(total.inputs for total in totals.values())
    found = [(name, text) for name, one in totals.items() for text in (one.found or {}).values()]
    print(f"{'all':34s} {inputs:9,d} inputs, {len(found)} findings")
    for name, text in found:
        print(f"  {name}: {text[:300]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
