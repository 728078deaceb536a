"""The documentation shows code that is there, and names files that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks/README.md"])
PLUG_IN = ROOT / "examples" / "plugin"


@pytest.mark.parametrize(("page", "count"), [("architectures.md", 5), ("extending.md", 1)])
def test_code_about_plug_ins_is_that_of_the_example(page, count):
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```(?:python|toml)\n(.*?)```", text, re.DOTALL)
    assert len(blocks) >= count
    files = [*PLUG_IN.rglob("*.py"), PLUG_IN / "pyproject.toml"]
    sources = "\n".join(file.read_text(encoding="utf-8") for file in files)
    for block in blocks:
        assert block in sources


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    targets = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [
        target
        for target in targets
        if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists()
    ]
    assert missing == []


def test_files_that_the_page_on_extensions_names_are_there():
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "deepdft"
    names = {name for name in re.findall(r"`([\w/.]+)`", text) if "/" in name}
    new = {"architectures/equivariant/gpu.py"}
    assert len(names) > 8
    for name in names - new:
        assert (package / name).exists() or (ROOT / name).exists(), name


def test_pages_that_the_source_names_are_there():
    named = {
        name
        for folder in ("src", "benchmarks", "recipes", "examples")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"docs/[\w/]+\.md", file.read_text(encoding="utf-8"))
    }
    assert len(named) > 2
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_promise_names_tests_that_are_there():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    table = page.split("## What is promised")[1].split("## Bounds")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 10
    for row in rows:
        names = re.findall(r"`([\w/]+\.py|test_\w+)`", row.rsplit(" | ", 1)[1])
        assert names, row
        text = ""
        for name in names:
            if name.endswith(".py"):
                folder = ROOT if name.startswith("benchmarks/") else ROOT / "tests"
                text = (folder / name).read_text(encoding="utf-8")
            else:
                assert f"def {name}(" in text, name
