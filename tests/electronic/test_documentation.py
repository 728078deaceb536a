"""The examples of docs/electronic.md that need no files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deepdft.electronic import ElectronicStructure

pytest.importorskip("pyscf")

PAGE = Path(__file__).parents[2] / "docs" / "electronic.md"


def test_the_examples_run(capsys):
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    for block in blocks[:2]:
        exec(block, names)
    assert "HOMO" in capsys.readouterr().out
    found, program = names["found"], names["mf"]
    assert isinstance(found, ElectronicStructure)
    assert program.converged
    # Another grid, so not the same energy to the last digit.
    assert found.energy == pytest.approx(program.e_tot * 27.211386, abs=0.1)
