"""What deepdft depends on in this environment: versions, licences, who needs it, weaknesses.

    python recipes/release/audit.py                  # a Markdown table
    python recipes/release/audit.py --extras train   # of the core and some extras

From the metadata of what is installed, without any network. Where pip-audit is installed, it is
run on the same packages, which asks a database of known weaknesses; where it is not, that is said.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads(
    (Path(__file__).resolve().parents[2] / "pyproject.toml").read_text(encoding="utf-8")
)["project"]


def main() -> None:
    """Print the table, and what pip-audit says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--extras", nargs="*", default=["all"])
    options = parser.parse_args()
    found, absent = collected(options.extras)
    print("| package | version | licence | needed by |\n| --- | --- | --- | --- |")
    for name, (package, needed_by) in sorted(found.items()):
        by = ", ".join(sorted(needed_by)[:4]) + (", ..." if len(needed_by) > 4 else "")
        print(f"| {name} | {package.version} | {licence(package)} | {by} |")
    print(f"\n{len(found)} packages.")
    if absent:
        print(f"Not installed, so not looked at: {', '.join(sorted(absent))}.")
    unknown = [name for name, (package, _) in found.items() if licence(package) == "?"]
    if unknown:
        print(f"Without a stated licence: {', '.join(sorted(unknown))}.")
    sys.exit(known_weaknesses([f"{name}=={p.version}" for name, (p, _) in found.items()]))


def collected(extras: list[str]) -> tuple[dict[str, tuple[Distribution, set[str]]], set[str]]:
    """Return what deepdft needs, directly or not, with who needs it; and what is not installed."""
    found: dict[str, tuple[Distribution, set[str]]] = {}
    absent: set[str] = set()
    todo = [(text, "deepdft", "") for text in PROJECT["dependencies"]]
    for extra in extras:
        todo += [(text, "deepdft", "") for text in PROJECT["optional-dependencies"][extra]]
    seen = set()
    while todo:
        text, parent, own_extra = todo.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": own_extra}):
            continue
        name = canonicalize_name(requirement.name)
        if name == canonicalize_name(PROJECT["name"]):
            for extra in requirement.extras:
                todo += [(t, "deepdft", "") for t in PROJECT["optional-dependencies"][extra]]
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            absent.add(name)
            continue
        found.setdefault(name, (package, set()))[1].add(parent)
        for extra in ("", *requirement.extras):
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += [(t, name, extra) for t in package.requires or []]
    return found, absent


def licence(package: Distribution) -> str:
    """Return the licence that a package's metadata states, in a few words."""
    about = package.metadata
    expression = about.get("License-Expression")
    if expression:
        return expression
    classified = [
        text.rpartition("::")[2].strip()
        for text in about.get_all("Classifier") or []
        if text.startswith("License ::")
    ]
    stated = re.sub(r"\s+", " ", (about.get("License") or "").strip())
    if classified:
        return "; ".join(classified)
    return stated[:60] if stated else "?"


def known_weaknesses(pinned: list[str]) -> int:
    """Let pip-audit look for known weaknesses; return its exit code, or 0 without it."""
    if importlib.util.find_spec("pip_audit") is None:
        print("Known weaknesses were not looked up: pip-audit is not installed here.")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder, "requirements.txt")
        requirements.write_text("\n".join(pinned) + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip_audit", "--no-deps", "--disable-pip", "-r"]
        return subprocess.run([*command, str(requirements)], check=False).returncode


if __name__ == "__main__":
    main()
