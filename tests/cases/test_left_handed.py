"""A left-handed cell is told."""

from __future__ import annotations

from pathlib import Path

POSCAR = Path(__file__).parent / "left.vasp"


def test_predict_tells_of_a_left_handed_cell(run, small_model):
    result = run("predict", POSCAR, "-m", small_model, "-o", "left.CHGCAR", "--spacing", 0.5)
    assert result.code == 0, result.error
    assert "note: left: the cell is left-handed" in result.output
