"""Isotopes, labels, numbers and ghosts in place of symbols."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdft.errors import FileFormatError
from deepdft.structures import read_structures

HERE = Path(__file__).parent


@pytest.mark.parametrize("name", ["d2o", "lab", "ghost"])
def test_they_are_water(name, run, small_model):
    command = ("predict", HERE / f"{name}.xyz", "-m", small_model, "-o", "d.cube")
    result = run(*command, "--spacing", 0.5)
    assert result.code == 0, result.error
    assert "H2O" in result.output
    assert ("ghost" in result.output) == (name == "ghost")


@pytest.mark.parametrize(
    ("oxygen", "hydrogen"),
    [
        ("O", "D"),
        ("o", "T"),
        ("8", "1"),
        ("O1", "H12"),
        ("O_a", "h1"),
        ("17O", "2H"),
        ("O2-", "H+"),
    ],
)
@pytest.mark.parametrize("comment", ["water", "Properties=species:S:1:pos:R:3 pbc=F"])
def test_names_of_elements(oxygen, hydrogen, comment, tmp_path):
    rows = f"{oxygen} 0 0 0.119\n{hydrogen} 0 0.763 -0.477\n{hydrogen} 0 -0.763 -0.477\n"
    (tmp_path / "w.xyz").write_text(f"3\n{comment}\n{rows}")
    (structure,) = read_structures(tmp_path / "w.xyz")
    assert structure.atoms.get_chemical_formula() == "H2O"


def test_what_is_no_element_is_named_with_its_line(tmp_path):
    (tmp_path / "w.xyz").write_text("2\n\nH 0 0 0\nQz 0 0 1\n")
    with pytest.raises(FileFormatError, match=r"line 4 of .*'Qz' is no element"):
        list(read_structures(tmp_path / "w.xyz"))
