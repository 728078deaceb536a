"""Molden files that hold fewer orbitals than the structure has electrons."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepdft.formats import read_with_notes

HERE = Path(__file__).parent


def test_a_single_orbital_is_a_warning() -> None:
    density, notes = read_with_notes(HERE / "homo.molden", spacing=0.2)
    assert density.n_electrons == pytest.approx(2.0, abs=0.02)
    (warning,) = [note for note in notes if note.startswith("Warning")]
    assert "hold 2.0000 electrons" in warning
    assert "H2O has 8 to 10 valence electrons and 10 in all" in warning


def test_ghosts_and_whole_molecules_are_not(tmp_path: Path) -> None:
    """A basis function at a ghost, and all ten electrons."""
    text = (HERE.parent / "formats" / "files" / "H2O_cp2k.molden").read_text()
    (tmp_path / "whole.molden").write_text(text)
    _, notes = read_with_notes(tmp_path / "whole.molden", spacing=0.4)
    assert not any(note.startswith("Warning") for note in notes)
    for name in ("Bq", "X", "H"):
        lines = text.splitlines()
        at = next(i for i, line in enumerate(lines) if line.split()[:1] == ["H"])
        fields = lines[at].split()
        fields[0] = name
        fields[2] = "0" if name == "H" else fields[2]
        lines[at] = " ".join(fields)
        (tmp_path / "ghost.molden").write_text("\n".join(lines))
        density, notes = read_with_notes(tmp_path / "ghost.molden", spacing=0.4)
        assert str(density.atoms.symbols.formula.format("hill")) == "HO"
        assert any("without a nucleus" in note for note in notes)
