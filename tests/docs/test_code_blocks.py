"""Code blocks of the documentation: run, or where they cannot be, read as a command would.

Pages under `start`, `how-to` and `tutorials`, and the conventions, are run block by block, in an
empty folder with the files that a page asks for in its first line. A comment before a block says
otherwise: `not run: REASON` or `slow`, which only `--thorough` runs. In all other pages, and in
the README, Python has to parse, what it imports from deepdft has to exist, and commands have to
have the options they are given.
"""

from __future__ import annotations

import ast
import importlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from deepdft.cli.commands import Commands, load_command

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
RUN = sorted(
    [
        *DOCS.glob("start/*.md"),
        *DOCS.glob("how-to/*.md"),
        DOCS / "conventions.md",
        DOCS / "commands.md",
    ]
)
NOTEBOOKS = sorted(DOCS.glob("tutorials/*.md"))
PAGES = sorted({ROOT / "README.md", *DOCS.rglob("*.md")} - {*DOCS.glob("_build/**/*.md")})

_FENCE = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*?) -->\n)?```(?P<kind>[^\n]*)\n(?P<text>.*?)^```", re.M | re.S
)
_FILES = re.compile(r"\A<!-- files: (.*?) -->")


class Block(NamedTuple):
    """A block of code of a page."""

    kind: str
    text: str
    note: str
    line: int


def blocks(page: Path) -> list[Block]:
    source = page.read_text(encoding="utf-8")
    kinds = {"sh": "sh", "bash": "sh", "python": "python", "{code-cell} python": "python"}
    found = []
    for match in _FENCE.finditer(source):
        kind = kinds.get(match["kind"].strip())
        if kind is not None:
            line = source.count("\n", 0, match.start("text")) + 1
            found.append(Block(kind, match["text"], match["note"] or "", line))
    return found


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which `deepdft` is this tree's command."""
    command = tmp_path / ".bin" / "deepdft"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m deepdft "$@"\n')
    command.chmod(0o755)
    python = command.with_name("python")
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("BROWSER", "true")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", RUN, ids=name_of)
def test_a_page_runs(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    provide_files(page, folder)
    everything = request.config.getoption("--thorough")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.note.startswith("not run: ") or (block.note == "slow" and not everything):
            continue
        where = f"{name_of(page)}, line {block.line}"
        if block.kind == "python":
            exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        else:
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", block.text], capture_output=True, text=True
            )
            assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("page", NOTEBOOKS, ids=name_of)
def test_a_notebook_runs(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--thorough"):
        pytest.skip("notebooks are run by --thorough, and by make docs")
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_names_exists(page: Path) -> None:
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        if block.kind == "python":
            check_python(block.text, where)
        else:
            for words in commands_in(block.text):
                check_command(words, where)


def test_every_reason_for_not_running_is_given() -> None:
    for page in RUN:
        for block in blocks(page):
            assert not block.note.startswith("not run") or len(block.note) > len("not run: ") + 10


def test_the_site_describes_every_public_name() -> None:
    import deepdft

    described = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in deepdft.__all__:
        assert re.search(rf":: deepdft\.{name}$", described, re.M), name


def provide_files(page: Path, folder: Path) -> None:
    wanted = _FILES.match(page.read_text(encoding="utf-8"))
    for entry in wanted[1].split() if wanted else []:
        name, _, source = entry.partition("=")
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / source, folder / name)


def check_python(text: str, where: str) -> None:
    # Doctests and blocks that show a part of a program have prompts or dots.
    if text.lstrip().startswith(">>>"):
        return
    for node in ast.walk(ast.parse(textwrap.dedent(text), where)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "deepdft":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                assert hasattr(module, alias.name) or importlib.import_module(
                    f"{node.module}.{alias.name}"
                ), f"{where}: {node.module} has no {alias.name}"
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "deepdft"
        ):
            import deepdft

            assert hasattr(deepdft, node.attr) or importlib.import_module(f"deepdft.{node.attr}"), (
                f"{where}: deepdft has no {node.attr}"
            )


def commands_in(text: str) -> list[list[str]]:
    """Return the words of each call of deepdft in a script."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            continue
        if words[:1] == ["deepdft"]:
            found.append(words[1:])
    return found


def check_command(words: list[str], where: str) -> None:
    if not words or words[0].startswith("-"):
        return
    if words[0].isupper():
        return
    assert words[0] in Commands(), f"{where}: there is no command {words[0]}"
    command = load_command(words[0])
    rest = words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    known = {option for p in command.params for option in (*p.opts, *p.secondary_opts)} | {
        "--help",
        "-h",
    }
    for word in rest:
        if re.match(r"--?[a-zA-Z]", word):
            assert word.partition("=")[0] in known, f"{where}: {' '.join(words)} has no {word}"
