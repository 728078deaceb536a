"""The examples in docstrings do what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import deepdft

PACKAGE = Path(deepdft.__file__).parent

MODULES = sorted(
    ".".join(("deepdft", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(
        ".__init__"
    )
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert result.attempted > 0
    assert result.failed == 0


def has_example(name):
    """Whether a public name, or one of its methods, is shown at work."""
    thing = getattr(deepdft, name)
    finder = doctest.DocTestFinder(exclude_empty=True)
    return any(test.examples for test in finder.find(thing, name))


@pytest.mark.parametrize("name", deepdft.__all__)
def test_every_public_name_has_an_example(name):
    assert has_example(name)
