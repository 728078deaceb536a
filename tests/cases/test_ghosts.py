"""Centres without a nucleus are left out with a note, alike in every format."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.formats import read_with_notes, write
from deepdft.formats.elements import atomic_number

HERE = Path(__file__).parent
FORMAT_FILES = HERE.parent / "formats" / "files"


def check(path: Path, formula: str) -> list[str]:
    density, notes = read_with_notes(path)
    assert density.atoms.symbols.formula.format("hill") == formula
    assert (density.atoms.numbers > 0).all()
    assert any("without a nucleus" in note and "left out" in note for note in notes)
    return notes


@pytest.mark.parametrize("label", ["Bq", "Bq1", "X", "Va", "Vac", "Gh", "0", "-5", "Ghost-B"])
def test_xsf(label: str, tmp_path: Path) -> None:
    text = gzip.decompress((HERE / "bq.xsf.gz").read_bytes()).decode()
    (tmp_path / "x.xsf").write_text(text.replace("Bq ", f"{label} "))
    notes = check(tmp_path / "x.xsf", "O")
    assert any("atom 1 of the file" in note for note in notes)
    assert any("all electrons of O" in note for note in notes)


def oxygen(symbols: str) -> Density:
    atoms = Atoms(symbols, positions=np.arange(3)[:, None] + np.ones((3, 3)), cell=[5] * 3)
    atoms.pbc = True
    values = np.full((4, 4, 4), 8 / 125)
    return Density(atoms, Grid(np.eye(3) * 5, (4, 4, 4)), values)


@pytest.mark.parametrize("number", [0, -8])
def test_cube(number: int, tmp_path: Path) -> None:
    write(tmp_path / "x.cube", oxygen("HOH"))
    text = (tmp_path / "x.cube").read_text()
    (tmp_path / "x.cube").write_text(text.replace("\n    1  1.000", f"\n{number:5d}  0.000"))
    check(tmp_path / "x.cube", "O")


@pytest.mark.parametrize("label", ["X", "Vac", "Va", "Bq"])
def test_chgcar(label: str, tmp_path: Path) -> None:
    """What is kept of each atom goes with it."""
    density = oxygen("SOS")
    density.metadata["selective_dynamics"] = ["F F F", "T T T", "F T F"]
    density.metadata["augmentation"] = ["augmentation occupancies   1   1\n  0.1000000E+00\n"]
    write(tmp_path / "CHGCAR", density)
    text = (tmp_path / "CHGCAR").read_text().replace("    S    O    S", f" {label} O {label}")
    (tmp_path / "CHGCAR").write_text(text)
    check(tmp_path / "CHGCAR", "O")
    read, _ = read_with_notes(tmp_path / "CHGCAR")
    assert read.metadata["selective_dynamics"] == ["T T T"]
    assert "augmentation" not in read.metadata


def test_siesta(tmp_path: Path) -> None:
    shutil.copy(FORMAT_FILES / "MgO_siesta.RHO", tmp_path)
    shutil.copy(HERE / "MgO_siesta.XV", tmp_path)
    check(tmp_path / "MgO_siesta.RHO", "MgO")
    text = (HERE / "MgO_siesta.XV").read_text().replace("  3    -8 ", "  3   201 ")
    (tmp_path / "MgO_siesta.XV").unlink()
    (tmp_path / "MgO_siesta.XV").write_text(text)
    density, notes = read_with_notes(tmp_path / "MgO_siesta.RHO")
    assert str(density.atoms.symbols) == "MgO"
    assert any("synthetic atoms" in note and "atom 3 of the file" in note for note in notes)


def test_quantum_espresso(tmp_path: Path) -> None:
    """The valence charges of the file are compared without that of the ghost."""
    text = gzip.decompress((FORMAT_FILES / "H3_qe.filplot.gz").read_bytes()).decode()
    assert "   1   H " in text
    (tmp_path / "x.pp").write_text(text.replace("   1   H ", "   1   Bq", 1))
    notes = check(tmp_path / "x.pp", "")
    assert any("no atoms to compare with" in note for note in notes)


def test_labels() -> None:
    elements = "Fe Fe1 Fe_pv Xe XE Dy D T V V1 Ba Ga Gd B Hg Cu_gw Es La O1"
    numbers = [26, 26, 26, 54, 54, 66, 1, 1, 23, 23, 56, 31, 64, 5, 80, 29, 99, 57, 8]
    assert [atomic_number(name) for name in elements.split()] == numbers
    ghosts = "bq BqO bq1 Gh(O) ghost GHOST-C X X-C Xx Q Du LP Vacancy @H O: O_ghost H_BQ"
    assert [atomic_number(name) for name in ghosts.split()] == [0] * 17
