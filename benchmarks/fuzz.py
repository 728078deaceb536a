"""Feed damaged and hostile input to whatever takes input from strangers; count what goes wrong.

    python benchmarks/fuzz.py --minutes 60
    python benchmarks/fuzz.py --minutes 5 --target SMILES --target 'model model.json'
    python benchmarks/fuzz.py --minutes 60 --results fuzz.jsonl   # goes on where it stopped

A finding is anything but an answer or one sentence: an exception that is not a `DeepDFTError`, the
end of the process, an input that takes longer than five seconds of the processor, or memory out of
proportion. With atheris (`pip install atheris`) the search is guided by which lines an input
reaches, and the table says how many were reached in the beginning and in the end; without, inputs
are damaged blindly. What is found useful is kept in a folder, from which the next call goes on.
"""

from __future__ import annotations

import argparse
import collections
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(1, str(HERE.parent))

from fuzz_guided import Share, prepare, search  # noqa: E402
from fuzz_search import by_turns  # noqa: E402


def guided(
    beginnings: Sequence[str], minutes: float, folder: Path, results: Path | None
) -> dict[str, Share]:
    """Give each target its share of the processor's time, guided by coverage.

    Args:
        beginnings: of the names of the targets.
        minutes: of the processor, for all of them together.
        folder: where what is found useful is kept.
        results: file of what came of each share, which is written as they end; a target is given
            what is left of its share.
    """
    names = prepare(beginnings, folder)
    totals = _known(results)
    for name in names:
        total = totals.setdefault(name, Share())
        left = max(2.0, 60 * minutes / len(names)) - total.seconds
        if left > 1:
            new = search(name, left, folder)
            total.add(new)
            if results is not None:
                with results.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({"name": name, **asdict(new)}) + "\n")
        print(_line(name, total), flush=True)
    return {name: totals[name] for name in names}


def _known(results: Path | None) -> dict[str, Share]:
    totals: dict[str, Share] = {}
    if results is not None and results.exists():
        for line in results.read_text(encoding="utf-8").splitlines():
            known = json.loads(line)
            totals.setdefault(known.pop("name"), Share()).add(Share(**known))
    return totals


def blind(beginnings: Sequence[str], minutes: float, folder: Path) -> dict[str, Share]:
    """Try all targets by turns in one process, which is begun again when it ends."""
    from fuzz_targets import targets

    names = list(targets(beginnings))
    totals = {name: Share() for name in names}
    report, log = folder / "blind.json", folder / "blind.log"
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    while (left := 60 * minutes - (time.monotonic() - began)) > 2:
        report.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--child", "--seconds", str(int(left))]
        command += ["--corpus", str(folder), "--report", str(report)]
        for name in names:
            command += ["--target", name]
        with log.open("ab") as output:
            process = subprocess.run(command, stdout=output, stderr=output, check=False)
        known = json.loads(report.read_text()) if report.exists() else {}
        for name, one in known.items():
            totals[name].inputs += one["inputs"]
            totals[name].found |= one["found"]
        if process.returncode != 0:
            print(f"ended with {process.returncode}; see {log}", flush=True)
            if not known:
                break
    for name, total in totals.items():
        total.seconds = (time.monotonic() - began) / len(totals)
        print(_line(name, total), flush=True)
    return totals


def _line(name: str, total: Share) -> str:
    kinds = collections.Counter(_kind(problem) for problem in total.found.values())
    shown = "  ".join(
        f"{kinds[kind]:4d} {kind}" for kind in ("exceptions", "hangs", "memory", "ends")
    )
    lines = f"{total.lines[0]:6,d} to {total.lines[1]:6,d} places" if total.lines else ""
    return f"{name:34s} {total.inputs:9,d} inputs {total.seconds:6.0f} s {lines} {shown}"


def _kind(problem: str) -> str:
    if problem.startswith("took"):
        return "hangs"
    if problem.startswith(("allocated", "MemoryError")):
        return "memory"
    return "ends" if problem.startswith("ended") else "exceptions"


def main() -> int:
    """Run and report; the exit status is 1 if there are findings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--minutes", type=float, default=1.0, help="of the processor, for all targets together"
    )
    parser.add_argument(
        "--target", action="append", help="beginning of a name; repeat; default: all"
    )
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    parser.add_argument("--corpus", type=Path, default=HERE.parent / ".fuzz", help="what is kept")
    parser.add_argument(
        "--blind", action="store_true",
        help="all targets in one process by turns, unguided: no time is lost with starting",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, help="file of the counts; what is in it is not done again"
    )
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        by_turns(options.target, options.seconds, options.corpus, options.report)
        return 0
    wanted = options.target or [""]
    if options.list:
        from fuzz_targets import targets

        print("\n".join(targets(wanted)))
        return 0
    without = importlib.util.find_spec("atheris") is None
    if options.blind or without:
        if options.results is not None:
            parser.error("--results is for the search that is guided, which needs atheris")
        totals = blind(wanted, options.minutes, options.corpus)
    else:
        totals = guided(wanted, options.minutes, options.corpus, options.results)
    inputs = sum(total.inputs for total in totals.values())
    found = [(name, text) for name, one in totals.items() for text in one.found.values()]
    print(f"{'all':34s} {inputs:9,d} inputs, {len(found)} findings")
    for name, text in found:
        print(f"  {name}: {text[:300]}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
