"""Code blocks of the documentation: run, or read as a command would where they cannot be.

Every page is run block by block in an empty folder with the files that its head asks for, see
`tests.docs.code_blocks`; what takes long with `--thorough` alone. Trainings are cut to two steps,
and servers are stopped after a while. Of all blocks, run or not, Python has to parse, what it
imports from deepdft has to exist, and commands have to have the options they are given.
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
import time
from pathlib import Path
from typing import Any

import pytest

from deepdft.cli.commands import Commands, load_command
from tests.docs.code_blocks import (
    DOCS,
    NOTEBOOKS,
    PAGES,
    ROOT,
    Block,
    blocks,
    head,
    name_of,
    untyped,
)

RUN = [
    page for page in PAGES if page not in NOTEBOOKS and any(block.runs for block in blocks(page))
]

COMMAND = """\
import subprocess, sys
words = sys.argv[1:]
if words[:1] == ["train"]:
    longer = any(word.startswith("trainer.max_steps=") for word in words)
    words = [word for word in words if not word.startswith("trainer.max_steps=")]
    words += [f"trainer.max_steps={3 if longer else 2}", "trainer.validation_interval=1"]
    words += ["trainer.validation_probes=50", "trainer.threads=1"]
command = [sys.executable, "-m", "deepdft", *words]
if words[:1] == ["serve"]:
    server = subprocess.Popen([*command, "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert "http://127.0.0.1:" in server.stdout.readline()
    server.terminate()
    sys.exit(0 if server.wait() is not None else 1)
sys.exit(subprocess.run(command).returncode)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory in which `deepdft` is this tree's command."""
    command = tmp_path / ".bin" / "deepdft"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\n{COMMAND}")
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
    thorough = request.config.getoption("--thorough")
    chosen = [block for block in blocks(page) if block.runs and (thorough or block.note != "slow")]
    if not chosen:
        pytest.skip("all of it runs with --thorough (make test-all)")
    prepare(page, folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in chosen:
        run(block, page, names)


@pytest.mark.parametrize("page", NOTEBOOKS, ids=name_of)
def test_a_notebook_runs(page: Path, folder: Path, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--thorough"):
        pytest.skip("notebooks are run by --thorough, and by make docs")
    names: dict[str, Any] = {"__name__": "__main__"}
    begin = time.process_time()
    for block in blocks(page):
        run(block, page, names)
    # Of a processor, whatever else the machine does.
    assert time.process_time() - begin < 60


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_names_exists(page: Path) -> None:
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        if block.kind == "python":
            check_python(block.text, where)
        else:
            for words in commands_in(block.text):
                check_command(words, where)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_block_is_run_or_says_why_not(page: Path) -> None:
    for block in blocks(page):
        where = f"{name_of(page)}, line {block.line}"
        known = block.note in ("", "slow") or not block.runs
        assert known, f"{where}: what does '{block.note}' mean?"
        assert block.reason is None or len(block.reason) > 10, f"{where}: why is it not run?"
        if block.part_of is not None:
            source = {line.strip() for line in (ROOT / block.part_of).read_text().splitlines()}
            missing = [x for x in block.text.splitlines() if x.strip() not in source]
            assert not [line for line in missing if line.strip()], f"{where}: {missing}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_blocks_without_a_language_hold_no_commands(page: Path) -> None:
    for text, line in untyped(page):
        commands = re.findall(r"^\$? ?(?:deepdft|python|pip|make) \S.*", text, re.M)
        assert not commands, f"{name_of(page)}, line {line}: these are not run: {commands}"


def test_the_site_describes_every_public_name() -> None:
    import deepdft

    described = (DOCS / "api.md").read_text(encoding="utf-8")
    for name in deepdft.__all__:
        assert re.search(rf":: deepdft\.{name}$", described, re.M), name


def test_the_site_describes_what_packages_call_public() -> None:
    described = re.findall(
        r"automodule:: (\S+)$", (DOCS / "api_packages.md").read_text(encoding="utf-8"), re.M
    )
    source = ROOT / "src" / "deepdft"
    public = {
        ".".join(["deepdft", *path.parent.relative_to(source).parts])
        for path in source.rglob("__init__.py")
        if "\n__all__ = " in path.read_text(encoding="utf-8")
    } - {"deepdft", "deepdft.training"}
    private = {name for name in public if name not in described}
    assert not private, f"{private}: names of these packages are not on the site"


def prepare(page: Path, folder: Path) -> None:
    """Put the files of a page where it is run."""
    wanted = head(page)
    for name, source in wanted.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, folder / name)
        else:
            shutil.copy(ROOT / source, folder / name)
    if wanted.before:
        run(Block("sh", wanted.before, "", 1), page, {})


def run(block: Block, page: Path, names: dict[str, Any]) -> None:
    """Run a block; Python with the names of the blocks before, programs of their own apart."""
    where = f"{name_of(page)}, line {block.line}"
    if block.kind == "python" and 'if __name__ == "__main__"' not in block.text:
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec"), names)
        return
    command = ["bash", "-euo", "pipefail", "-c", block.text]
    if block.kind == "python":
        script = Path("program.py")
        script.write_text(block.text)
        command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{where}: {done.stdout}{done.stderr}"


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
