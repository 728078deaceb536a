"""Injects faults into real commands and counts what held.

    python -m torture --minutes 5
    python -m torture --minutes 1 --seed 7 --only training,'predict to cube'

What is killed at which moment follows from the seed, as far as the machine is as quick. Exit code 1
where something did not hold.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from random import Random

os.environ.setdefault("OMP_NUM_THREADS", "1")
# As the command sets it, which is forked when PyTorch has been imported.
os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

from rich.console import Console
from rich.table import Table

from torture.cases import (
    Campaign,
    Case,
    Chgcar,
    Convert,
    Cube,
    Processes,
    Store,
    Train,
    Workers,
)
from torture.faults import ONE_PROCESS, REFUSALS, SIGNALS, can_mount
from torture.inputs import make_inputs
from torture.page import Page
from torture.processes import import_everything
from torture.rounds import Bench, Outcome, one_after_another

CASES: tuple[type[Case], ...] = (
    Train, Cube, Chgcar, Store, Convert, Campaign, Processes, Workers, Page,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the torture and print its table."""
    parser = argparse.ArgumentParser(
        prog="python -m torture", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--only", default="", help="cases by name, with commas between them")
    given = parser.parse_args(arguments)
    seed = int.from_bytes(os.urandom(3), "little") if given.seed is None else given.seed
    chosen = [word for word in given.only.split(",") if word]
    unknown = set(chosen) - {case.name for case in CASES}
    if unknown:
        parser.error(f"there is no case {sorted(unknown)[0]!r}")
    # Shells let what runs in the background ignore Ctrl-C, and so would the commands.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import_everything()
    print(f"seed {seed}", flush=True)
    if not can_mount():
        print("nothing can be mounted here: a full disk is a limit of the size of files")
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        inputs = Path(name) / "inputs"
        inputs.mkdir()
        make_inputs(inputs)
        benches = [
            Bench(case(inputs), Path(name) / case.__name__)
            for case in CASES
            if not chosen or case.name in chosen
        ]
        outcomes = one_after_another(benches, Random(seed), given.minutes)
    _print(outcomes)
    return int(any(outcome.problems for outcome in outcomes))


def _print(outcomes: Sequence[Outcome]) -> None:
    for title, kinds, key in (
        ("by fault", (*SIGNALS, ONE_PROCESS, *REFUSALS), "fault"),
        ("by command", tuple(case.name for case in CASES), "case"),
    ):
        table = Table(title=f"Faults {title}")
        for column in ("", "injected", "felt", "survived", "data lost"):
            table.add_column(column, justify="right" if column else "left")
        rows = [(kind, [o for o in outcomes if getattr(o, key) == kind]) for kind in kinds]
        for kind, found in (*rows, ("all", list(outcomes))):
            if found:
                survived = sum(not o.problems for o in found)
                counts = (
                    len(found),
                    sum(o.hit for o in found),
                    survived,
                    sum(o.lost for o in found),
                )
                table.add_row(kind, *map(str, counts))
        Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
