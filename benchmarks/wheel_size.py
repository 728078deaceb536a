"""The size of the wheel, and of what comes in it: models, the page, scripts of others.

python benchmarks/wheel_size.py
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from reporting import add_output_option, write_result

ROOT = Path(__file__).resolve().parent.parent

PARTS = {
    "bundled models and molecules": ("deepdft/bundled/",),
    "scripts of others (3Dmol.js, OpenChemLib)": (
        "deepdft/plotting/viewer/3Dmol",
        "deepdft/web/page/editor/",
    ),
    "the page": ("deepdft/web/page/", "deepdft/plotting/viewer/", "deepdft/web/examples.json"),
    "tables of atoms and basis sets": ("deepdft/fields/",),
}
"""Beginnings of names; a file counts to the first part that has it, others are code."""


def wheel_sizes() -> dict[str, int]:
    """Build the wheel and return its size in bytes, in all and by part, compressed."""
    with tempfile.TemporaryDirectory() as folder:
        # Built from a copy: setuptools leaves folders where it builds.
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT / "src", tree / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, tree)
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, "."]
        if importlib.util.find_spec("setuptools") is not None:
            command.append("--no-build-isolation")
        subprocess.run(command, cwd=tree, check=True)
        (wheel,) = Path(folder).glob("*.whl")
        sizes = {"wheel": wheel.stat().st_size, **dict.fromkeys(PARTS, 0), "code": 0}
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.infolist():
                sizes[part_of(entry.filename)] += entry.compress_size
    return sizes


def part_of(name: str) -> str:
    """Return which part of the wheel a file belongs to."""
    if name.endswith(".py"):
        return "code"
    return next((part for part, names in PARTS.items() if name.startswith(names)), "code")


def rows_of(sizes: dict[str, int]) -> list[tuple[str, str]]:
    """Return what is shown of the sizes."""
    return [
        ("wheel" if name == "wheel" else f"  {name}", f"{size / 1e6:.2f} MB")
        for name, size in sizes.items()
    ]


def main() -> None:
    """Build it and print the sizes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_output_option(parser)
    arguments = parser.parse_args()
    sizes = wheel_sizes()
    table = Table("what", "size")
    for row in rows_of(sizes):
        table.add_row(*row)
    Console().print(table)
    write_result(arguments, "wheel_size", rows_of(sizes), sizes)


if __name__ == "__main__":
    main()
