"""The search that is guided by coverage (benchmarks/fuzz.py), with atheris.

One process imports the package, each line of which then counts, and makes the targets. It forks one
process for each share of the time: libFuzzer ends the process it runs in, and imports take longer
than many a share.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import random
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from fuzz_search import LIMIT, Search, folder_of

_PACKAGE = Path(__file__).resolve().parents[1] / "src" / "deepdft"
_FOLLOWED = (
    "formats", "structures", "storage", "models", "training", "data", "web", "levels", "density",
    "architectures",
)  # fmt: skip
_COMPILED = (
    "formats.text", "data.grid_probes", "architectures.on_cpu", "architectures.deepdft",
    "architectures.equivariant",
)  # fmt: skip
"""Modules that numba compiles from their bytecode, or that hold what it does."""
_GRACE = 60
"""Seconds of the processor beyond its share, after which a process hangs and is ended."""
_PATIENCE = 60
"""Seconds by the clock for one of the processor: on a busy machine a process waits for long."""
_MOST_ENDS = 20
"""Processes of a target that may end early; then it is left."""


def _not_followed() -> list[str]:
    """Return the modules of the package whose lines do not guide the search."""
    names = [
        ".".join(path.relative_to(_PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in _PACKAGE.rglob("*.py")
    ]
    followed = [
        name for name in names if name.startswith(_FOLLOWED) and not name.startswith(_COMPILED)
    ]
    return [f"deepdft.{name}" for name in names if name not in followed]


_IMPORTED = {
    "reader": ("deepdft.formats.points", "deepdft.storage.tar_members"),
    "structure": ("deepdft.structures.files", "deepdft.models.choice"),
    "SMILES": ("deepdft.structures.files", "deepdft.models.choice"),
    "configuration": ("deepdft.training.config",),
    "override": ("deepdft.training.config",),
    "trainer": ("deepdft.training.state",),
    "model": ("deepdft.models.overview", "deepdft.prediction.trained_model"),
    "released": ("deepdft.models.overview", "deepdft.prediction.trained_model"),
    "page": ("deepdft.web.application",),
}
"""Modules that targets use, by the first word of their name; imported once for all processes."""


@dataclass
class Share:
    """What came of one target.

    Attributes:
        inputs: tried.
        seconds: of the processor.
        lines: places in the code that were reached in the beginning, and in the end.
        ended: processes that ended early.
        found: problems by what they have in common.
    """

    inputs: int = 0
    seconds: float = 0.0
    lines: Sequence[int] | None = None
    ended: int = 0
    found: dict[str, str] = field(default_factory=dict)

    def add(self, other: Share) -> None:
        """Add what came of the same target later."""
        self.inputs += other.inputs
        self.seconds += other.seconds
        self.ended += other.ended
        self.found |= other.found
        if other.lines:
            self.lines = (self.lines or other.lines)[0], other.lines[1]


def prepare(beginnings: Sequence[str], keep: Path) -> list[str]:
    """Import what the targets need, with its lines counted; return the targets' names.

    Args:
        beginnings: of the names of the targets.
        keep: folder in which the log of what is followed is written.
    """
    import atheris

    keep.mkdir(parents=True, exist_ok=True)
    # Stays: what a target imports when it is used first is followed as well.
    atheris.instrument_imports(include=["deepdft"], exclude=_not_followed()).__enter__()
    with (keep / "imports.log").open("w") as log, contextlib.redirect_stderr(log):
        import deepdft.formats.registry
        from fuzz_targets import targets

        for entry in deepdft.formats.registry.FORMATS:
            entry.sniff(b"")  # imports the reader
        names = list(targets(beginnings))
        for module in {m for name in names for m in _IMPORTED.get(name.split()[0], ())}:
            importlib.import_module(module)
    return names


def search(name: str, seconds: float, keep: Path) -> Share:
    """Search for faults of one target, in processes that are begun again when they end.

    Args:
        name: of the target.
        seconds: of the processor; others may keep it busy, and the search is no shorter then.
        keep: folder for what is found useful, findings and reports.
    """
    place = folder_of(name, keep)
    place.mkdir(parents=True, exist_ok=True)
    total = Share()
    while (left := seconds - total.seconds) > 1 and total.ended < _MOST_ENDS:
        _one_process(name, round(left), place, total)
    return total


def _one_process(name: str, seconds: int, place: Path, total: Share) -> None:
    report, log = place / "report.json", place / "log"
    report.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            _in_child(name, seconds, place, Path(folder))
        status, spent = _waited(child, _PATIENCE * (seconds + _GRACE))
    known = json.loads(report.read_text()) if report.exists() else {"inputs": 0, "found": {}}
    total.inputs += known["inputs"]
    total.seconds += spent
    total.found |= known["found"]
    text = log.read_text(errors="replace")
    reached = [int(count) for count in re.findall(r" cov: (\d+) ", text)]
    if reached:
        total.lines = (total.lines or (reached[0], 0))[0], reached[-1]
    if status:
        total.ended += 1
        last = (text.strip().splitlines() or [""])[-1]
        total.found[f"exit {status}"] = f"ended with {status}: {last}"
        if (place / "trying").exists():
            (place / "findings").mkdir(exist_ok=True)
            (place / "trying").replace(place / "findings" / f"ended-{status}-{total.ended}")


def _waited(child: int, seconds: float) -> tuple[int, float]:
    """Return the exit status of a process and its time of the processor; end it after a while."""
    end = time.monotonic() + seconds
    while True:
        pid, status, usage = os.wait4(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        if time.monotonic() > end:
            os.kill(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            return os.waitstatus_to_exitcode(status), usage.ru_utime + usage.ru_stime
        time.sleep(0.2)


def _in_child(name: str, seconds: int, place: Path, folder: Path) -> NoReturn:
    """Search until the time is over, or something ends this process."""
    try:
        output = os.open(place / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        _search(name, seconds, place, folder)
    except BaseException:
        traceback.print_exc()
    os._exit(1)  # libFuzzer does not come back


def _search(name: str, seconds: int, place: Path, folder: Path) -> None:
    import atheris

    from fuzz_mutations import damaged

    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds + _GRACE, seconds + 2 * _GRACE))
    corpus = place / "inputs"
    found = Search(name, place, folder)
    seeds = found.target.seeds
    corpus.mkdir(exist_ok=True)
    for data in seeds:
        (corpus / hashlib.sha1(data).hexdigest()).write_bytes(data)

    def mutated(data: bytes, largest: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < 0.5:
            changed: bytes = atheris.Mutate(data, len(data) or 1)
            return changed[:largest]
        return damaged(data, seeds, rng)[:largest]

    largest = max(4096, 2 * max(len(data) for data in seeds))
    options = [
        f"-max_len={largest}", "-len_control=0",
        "-timeout=1000000", "-rss_limit_mb=0", "-detect_leaks=0",
        f"-artifact_prefix={place}/findings/",
    ]  # fmt: skip
    end = time.process_time() + seconds

    def one(data: bytes) -> None:
        found.one(data)
        if time.process_time() > end:
            found.tell()
            os._exit(0)

    atheris.Setup([sys.argv[0], *options, str(corpus)], one, custom_mutator=mutated)
    atheris.Fuzz()
