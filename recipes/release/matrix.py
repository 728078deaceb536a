"""Runs the tests with several versions of Python, and with the lowest and newest dependencies.

    python recipes/release/matrix.py                             # all of it; `make matrix`
    python recipes/release/matrix.py --python 3.12 --bounds newest
    python recipes/release/matrix.py --extras "" --python 3.11   # the core alone, without torch

For each version of Python an environment is made below `--folder` and kept: newest has whatever the
index has, lowest the lower bounds of pyproject.toml, to the digit, and runs with the oldest Python
alone, as libraries older than a Python have no wheels for it. Nothing is compiled. With the extra
`test` the tests run that take less than 0.3 s each (`--tests` chooses others); without extras the
demo and a round through structures, formats and stores.

Interpreters are looked for by name (python3.12), in pyenv, and by uv where that is installed, which
may fetch them. Those that are not there are named, and the exit code is then 3.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")
BOUNDS = ("lowest", "newest")
CORE = Path(__file__).with_name("core_round.py")


def main() -> None:
    """Run what is asked for, and print one line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--python", nargs="+", default=PYTHONS, metavar="VERSION")
    parser.add_argument("--bounds", nargs="+", default=BOUNDS, choices=BOUNDS)
    parser.add_argument("--extras", default="test", help='of deepdft; "" for the core alone')
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "matrix")
    parser.add_argument(
        "--tests", nargs="+", default=["--fast"], help="for pytest, with the extra `test`"
    )
    options = parser.parse_args()
    results = []
    for version in options.python:
        for bounds in options.bounds:
            if bounds == "lowest" and version != PYTHONS[0]:
                continue
            result = attempt(version, bounds, options)
            print(f"Python {version}, {bounds}: {result}", flush=True)
            results.append(result)
    failed = [result for result in results if result not in ("passed", ABSENT)]
    sys.exit(1 if failed else 3 if ABSENT in results else 0)


ABSENT = "not run: there is no such interpreter"


def attempt(version: str, bounds: str, options: argparse.Namespace) -> str:
    """Make one environment and run the tests there; return what came out."""
    interpreter = find_interpreter(version)
    if interpreter is None:
        return ABSENT
    folder = options.folder / f"{version}-{bounds}{'-core' if not options.extras else ''}"
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "environment" / ("Scripts" if os.name == "nt" else "bin") / "python"
    source = folder / "source"
    if not python.exists():
        run(interpreter, "-m", "venv", folder / "environment")
    copy_tracked(source)
    target = f"{source}[{options.extras}]" if options.extras else str(source)
    install = [python, "-m", "pip", "install", "--disable-pip-version-check", "--quiet",
               "--only-binary=:all:"]  # fmt: skip
    if bounds == "lowest":
        constraints = folder / "lowest.txt"
        constraints.write_text("\n".join(lower_bounds(options.extras)) + "\n", encoding="utf-8")
        install += ["--constraint", constraints]
    else:
        install += ["--upgrade", "--upgrade-strategy=eager"]
    packages = [target, str(source / "paper")] if options.extras else [target]
    for command in (
        [*install, *packages],
        [python, "-m", "pip", "check"],
        [python, "-m", "pytest", "-q", *options.tests] if options.extras else [python, CORE],
    ):
        done = run(*command, cwd=source if options.extras else folder)
        if done.returncode:
            (folder / "failed.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            return f"FAILED ({' '.join(last)[:160]}; all of it in {folder / 'failed.log'})"
    return "passed"


def lower_bounds(extras: str) -> list[str]:
    """Return the lower bounds of what deepdft and its extras depend on, as constraints."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted, found = list(project["dependencies"]), {}
    seen: set[str] = set()
    names = [name for name in re.split(r"[,\s]+", extras) if name]
    while names:
        name = names.pop()
        if name not in seen:
            seen.add(name)
            wanted += project["optional-dependencies"][name]
            names += [
                extra
                for text in project["optional-dependencies"][name]
                if Requirement(text).name == project["name"]
                for extra in Requirement(text).extras
            ]
    for text in wanted:
        requirement = Requirement(text)
        bounds = [s.version for s in requirement.specifier if s.operator in (">=", "==")]
        if bounds:
            found[requirement.name] = f"{requirement.name}=={bounds[0]}"
    return sorted(found.values())


def find_interpreter(version: str) -> str | None:
    """Return a Python of a version, or None."""
    candidates = [shutil.which(f"python{version}")]
    candidates += map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
    if shutil.which("uv"):
        found = run("uv", "python", "find", version)
        if found.returncode:
            run("uv", "python", "install", version)
            found = run("uv", "python", "find", version)
        candidates.append(found.stdout.strip() or None)
    for candidate in filter(None, candidates):
        try:
            done = run(candidate, "-c", "import sys; print('%d.%d' % sys.version_info[:2])")
        except OSError:
            continue
        if done.stdout.strip() == version:
            return candidate
    return None


def copy_tracked(target: Path) -> None:
    """Copy what git tracks, so that environments do not see each other's builds."""
    shutil.rmtree(target, ignore_errors=True)
    names = run("git", "ls-files", "-z", cwd=ROOT).stdout.split("\0")
    for name in names:
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command that sees nothing of this process's packages."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True)


if __name__ == "__main__":
    main()
