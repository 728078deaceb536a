"""Numbers of fixed-width columns that run together."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from deepdft.density import Density
from deepdft.errors import FileFormatError
from deepdft.formats import read, write
from deepdft.formats.text.columns import equal_columns, split_columns
from tests.formats.samples import boxed_molecule, skewed_density


@pytest.mark.parametrize(
    ("token", "numbers"),
    [
        ("-0.1E+00-0.2E+00", ["-0.1E+00", "-0.2E+00"]),
        ("0.12345E+000.23456E-01", ["0.12345E+00", "0.23456E-01"]),
        ("12-100.25", ["12", "-100.25"]),
        ("1.5-100.25-3.5", ["1.5", "-100.25", "-3.5"]),
        ("0.123-100-0.456-101", ["0.123-100", "-0.456-101"]),
        ("1000.1234562000.654321", ["1000.123456", "2000.654321"]),
        ("-1000.12345610000.123456-2.000000", ["-1000.123456", "10000.123456", "-2.000000"]),
        ("1.5", ["1.5"]),
        ("1.2-101", ["1.2-101"]),
        ("1.25.3", []),
        ("1.25x", []),
        ("", []),
    ],
)
def test_tokens(token: str, numbers: list[str]) -> None:
    assert split_columns(token) == numbers


def with_signs(density: Density) -> Density:
    """Return a difference density: every second value is negative."""
    values = density.values.copy()
    values.reshape(-1)[::2] *= -1
    return Density(
        density.atoms, density.grid, values, None, density.level,
        {"quantity": "difference-density"},
    )  # fmt: skip


def run_together(path: Path) -> None:
    """Take away the blanks before signs, as columns without a margin have it."""
    path.write_text(re.sub(r"(?<=\d) +-(?=[\d.])", "-", path.read_text()))


@pytest.mark.parametrize("name", ["x.cube", "CHGCAR", "x.xsf"])
@pytest.mark.parametrize("size", [(5, 7, 6), (90, 80, 100)])
def test_values(name: str, size: tuple[int, int, int], tmp_path: Path) -> None:
    """Of a few values, and of so many that several threads count them."""
    density = with_signs(skewed_density(0, size))
    write(tmp_path / name, density)
    before = read(tmp_path / name, quantity="difference-density")
    run_together(tmp_path / name)
    assert re.search(r"\d-\d*\.\d", (tmp_path / name).read_text())
    after = read(tmp_path / name, quantity="difference-density")
    np.testing.assert_array_equal(after.values, before.values)
    np.testing.assert_array_equal(after.atoms.positions, before.atoms.positions)


def test_heads_of_cube_files(tmp_path: Path) -> None:
    density = boxed_molecule()
    density.atoms.positions -= 60.0
    write(tmp_path / "x.cube", density)
    expected = read(tmp_path / "x.cube")
    run_together(tmp_path / "x.cube")
    found = read(tmp_path / "x.cube")
    assert found.grid.is_close(expected.grid, 1e-12)
    np.testing.assert_array_equal(found.atoms.positions, expected.atoms.positions)


def test_counts_of_a_poscar(tmp_path: Path) -> None:
    assert equal_columns("  641000", 2) == ["  64", "1000"]
    assert equal_columns("1234", 2) == []
    lines = ["many", "1.0", "30 0 0", "0 30 0", "0 0 30", "  Si   O", "   11000", "Direct"]
    lines += [f"{x:.6f} 0.5 0.5" for x in np.arange(1001) / 1001]
    lines += ["", "1 1 2", "6000 6000"]
    (tmp_path / "CHGCAR").write_text("\n".join(lines))
    assert read(tmp_path / "CHGCAR").atoms.get_chemical_formula() == "O1000Si"


def test_what_is_no_number_is_an_error_still(tmp_path: Path) -> None:
    write(tmp_path / "x.cube", with_signs(skewed_density(0, (90, 80, 100))))
    text = (tmp_path / "x.cube").read_text()
    for wrong in ("1.25.3", "-0.1E+00-0.2E", "*******"):
        (tmp_path / "x.cube").write_text(text[:-14] + f" {wrong}\n")
        with pytest.raises(FileFormatError, match="is not a finite number"):
            read(tmp_path / "x.cube", quantity="difference-density")
