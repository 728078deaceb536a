"""Run the benchmarks and write their figures to docs/benchmarks.md.

    python benchmarks/run.py                             # all that need nothing else; make bench
    python benchmarks/run.py engine scaling              # some; what is known of the others stays
    python benchmarks/run.py released_code --released PATH   # a clone of the released code
    python benchmarks/run.py --add result.json           # measured elsewhere, with --json
    python benchmarks/run.py --quick --output /tmp/benchmarks.md   # do they work at all?

Each benchmark is a process of its own. The figures are kept in a JSON file beside the page, with
command, machine and date, so that one can be measured again without the others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "benchmarks.md"

OPTIONS: dict[str, list[str]] = {
    "engine": ["--threads", "1"],
    "table_error": [],
    "derivatives": ["--threads", "1"],
    "uncertainty": [],
    "predict_molecule": [],
    "scaling": [],
    "training_step": ["--steps", "40"],
    "loading": [],
    "parse_chgcar": [],
}
"""What `make bench` runs, and with which options."""

QUICK: dict[str, list[str]] = {
    "engine": ["--threads", "1", "--box", "8", "--repeat", "1", "--spacing", "0.3"],
    "table_error": ["--points", "20"],
    "derivatives": ["--threads", "1", "--box", "8", "--torch-box", "4", "--repeat", "1"],
    "uncertainty": ["--repeat", "1", "--spacing", "0.4"],
    "predict_molecule": ["--repeat", "1", "--spacing", "0.4"],
    "scaling": ["--sizes", "300", "600", "--fraction", "0.1", "--rounds", "1"],
    "training_step": ["--steps", "2", "--probes", "100"],
    "loading": ["--structures", "2", "--points", "24", "--repeats", "2"],
    "parse_chgcar": ["--size", "1e6", "--write-size", "1e5", "--repetitions", "1"],
    "released_code": ["--batch", "500", "--batches", "1", "--repeat", "1"],
    "training_released": ["--structures", "2", "--spacing", "0.3", "--rounds", "1", "--steps", "2"],
}
"""Options that take seconds; their figures mean nothing."""

NEED_CLONE = ("released_code", "training_released")
"""Benchmarks that need `--released`."""

TITLES = {
    "engine": "The probe engine against direct evaluation",
    "released_code": "The probe engine against the authors' released code",
    "table_error": "Tabulated filters",
    "derivatives": "Gradient and Hessian",
    "uncertainty": "Expected errors",
    "predict_molecule": "Predicting a molecule, from the command to the file",
    "scaling": "Large systems",
    "training_step": "A training step",
    "training_released": "A training step against the authors' released code",
    "loading": "Reading training data",
    "parse_chgcar": "Reading and writing CHGCAR",
}
"""In the order of the page; benchmarks of other names come after them."""

INTRODUCTION = """# Benchmarks

Written by `make bench`; what each one measures and how is in
[benchmarks/README.md](../benchmarks/README.md); all numbers are in
[benchmarks.json](benchmarks.json). Compare what was measured in one run: processors differ, and so
does what else they have to do (the load is that of the machine when the run began).
"""


def main() -> None:
    """Run what is asked for and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(TITLES))
    parser.add_argument("--released", type=Path, help="clone of the released code's repository")
    parser.add_argument("--add", type=Path, nargs="+", default=[], help="results of --json")
    parser.add_argument("--quick", action="store_true", help="small sizes, to try them out")
    parser.add_argument("--output", type=Path, default=PAGE, help="page to write")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(TITLES))
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there are {', '.join(TITLES)}")
    for name in NEED_CLONE:
        if name in options.names and options.released is None:
            parser.error(f"{name} needs --released")
    if options.quick and options.output == PAGE:
        parser.error("--quick needs --output: its figures mean nothing")
    names = options.names or ([] if options.add else list(OPTIONS))
    if options.released is not None and not set(NEED_CLONE) & set(names):
        names += NEED_CLONE

    store = options.output.with_suffix(".json")
    results = json.loads(store.read_text(encoding="utf-8")) if store.exists() else {}
    for path in options.add:
        result = json.loads(path.read_text(encoding="utf-8"))
        results[result["benchmark"]] = result
    write(options.output, store, results)
    failed = []
    for name in names:
        print(f"== {name}", flush=True)
        result = run(name, options)
        if result is None:
            failed.append(name)
            continue
        results[name] = result
        write(options.output, store, results)
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")
    print(f"written: {options.output}")


def run(name: str, options: argparse.Namespace) -> dict[str, Any] | None:
    """Run one benchmark; return its result, or None if it failed."""
    words = (QUICK if options.quick else OPTIONS).get(name, [])
    if name in NEED_CLONE:
        words = [str(options.released.resolve()), *words]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        command = [sys.executable, str(FOLDER / f"{name}.py"), *words, "--json", str(path)]
        if subprocess.run(command, check=False).returncode or not path.exists():
            return None
        result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def write(page: Path, store: Path, results: dict[str, Any]) -> None:
    """Write the page and the figures behind it."""
    order = [name for name in TITLES if name in results]
    order += sorted(set(results) - set(TITLES))
    text = "\n".join([INTRODUCTION, *(section(name, results[name]) for name in order)])
    figures = json.dumps({name: results[name] for name in order}, indent=1) + "\n"
    for path, content in ((page, text), (store, figures)):
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        temporary.write_text(content, encoding="utf-8")
        os.replace(temporary, path)


def section(name: str, result: dict[str, Any]) -> str:
    """Return the part of the page about one benchmark."""
    machine = result["machine"]
    devices = [f"{machine['processor']}, {machine['cpus']} CPUs"]
    if machine["gpu"]:
        devices.append(machine["gpu"])
    lines = [
        f"## {TITLES.get(name, name)}",
        "",
        f"`{result['command']}`",
        "",
        "| | |",
        "| --- | ---: |",
        *(f"| {what} | {value} |" for what, value in result["rows"]),
        "",
        f"{'; '.join(devices)}; load {machine['load']}; torch {machine['torch']}, Python "
        f"{machine['python']}; {result['date']}.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
