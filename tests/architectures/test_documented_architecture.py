"""The example of docs/architectures.md runs, and passes what every architecture has to pass."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepdft.architectures import architectures
from deepdft.testing import Conformance

_PAGE = Path(__file__).parents[2] / "docs" / "architectures.md"


def _register_example() -> str:
    if "additive" not in architectures():
        text = _PAGE.read_text(encoding="utf-8")
        code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
        assert code is not None
        exec(compile(code.group(1), str(_PAGE), "exec"), {"__name__": "documented"})
    return "additive"


@pytest.mark.parametrize("architecture", [_register_example()])
class TestDocumentedArchitecture(Conformance):
    """One run of the suite."""
