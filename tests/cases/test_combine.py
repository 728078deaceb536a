"""`deepdft combine`: spin channels in two files, core and valence, differences."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from deepdft.cli import app
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.formats import read, write
from deepdft.formats.combination import Term, combine
from deepdft.levels import LevelOfTheory

HERE = Path(__file__).parent


def run(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return " ".join(result.output.split())


@pytest.fixture
def channels(tmp_path: Path) -> tuple[Path, Path]:
    """Return the spin up channel of water, and a spin down channel of a fifth electron less."""
    up = tmp_path / "chgs1.cube"
    up.write_bytes(gzip.decompress((HERE / "chgs1.cube.gz").read_bytes()))
    down = read(up)
    write(tmp_path / "chgs2.cube", replace(down, values=down.values * 0.95))
    return up, tmp_path / "chgs2.cube"


def test_total_and_spin_density(channels: tuple[Path, Path], tmp_path: Path) -> None:
    up, down = channels
    values = [read(path).values for path in channels]
    text = run("combine", str(up), "+", str(down), "-o", str(tmp_path / "total.cube"))
    assert "7.8000 electrons" in text
    total = read(tmp_path / "total.cube")
    np.testing.assert_allclose(total.values, values[0] + values[1], rtol=1e-5, atol=1e-30)
    output = str(tmp_path / "spin.cube")
    text = run("combine", f"{up} - {down}", "--result", "spin-density", "-o", output)
    assert "spin-density, integral 0.2000" in text
    spin = read(output, quantity="spin-density")
    np.testing.assert_allclose(spin.values, values[0] - values[1], rtol=1e-4, atol=1e-8)
    run("combine", "--spin", str(up), "+", str(down), "-o", str(tmp_path / "both.npz"))
    both = read(tmp_path / "both.npz")
    assert both.n_electrons == pytest.approx(7.8, abs=1e-3)
    assert both.total_spin == pytest.approx(0.2, abs=1e-3)


def oxygen(electrons: float, exponent: float) -> Density:
    """Return a crystal of one oxygen atom on a fine grid."""
    atoms = Atoms("O", positions=[[1.5, 1.5, 1.5]], cell=[3.0] * 3, pbc=True)
    grid = Grid(np.eye(3) * 3, (60, 60, 60))
    distance = np.linalg.norm(grid.points() - 1.5, axis=-1)
    values = np.exp(-exponent * distance)
    return Density(atoms, grid, values * electrons / (values.sum() * grid.voxel_volume))


def test_core_and_valence(tmp_path: Path) -> None:
    write(tmp_path / "AECCAR0", oxygen(2.0, 29.0))
    write(tmp_path / "AECCAR2", oxygen(6.0, 4.0))
    names = [str(tmp_path / name) for name in ("AECCAR0", "AECCAR2", "all.CHGCAR")]
    text = run("combine", names[0], "+", names[1], "-o", names[2])
    assert "An all-electron density, by its values at the nuclei: 8.0000 of 8 electrons" in text
    density = read(names[2])
    assert density.n_electrons == pytest.approx(8.0)
    assert density.level.core == "all-electron"


def test_differences_of_fragments() -> None:
    whole, part = oxygen(8.0, 4.0), oxygen(6.0, 4.0)
    other = replace(part, atoms=Atoms("H", positions=[[0, 0, 0]], cell=[3.0] * 3, pbc=True))
    terms = [Term(1.0, "AB", whole), Term(-1.0, "A", part), Term(-1.0, "B", other)]
    result = combine(terms)
    np.testing.assert_allclose(result.values, whole.values - 2 * part.values)
    assert result.metadata["quantity"] == "difference-density"
    assert result.metadata["comment"] == "AB - A - B"
    assert any(
        "structures differ (O and H); that of AB is kept" in n for n in result.metadata["notes"]
    )
    assert result.n_electrons == pytest.approx(-4.0)


def test_spin_densities_are_combined_too() -> None:
    one = oxygen(4.0, 4.0)
    with_spin = replace(one, spin=one.values * 0.5)
    both = combine([Term(1.0, "a", with_spin), Term(1.0, "b", with_spin)])
    np.testing.assert_allclose(both.spin, one.values)
    mixed = combine([Term(1.0, "a", with_spin), Term(1.0, "b", one)])
    assert mixed.spin is None
    assert any("the result has none" in note for note in mixed.metadata["notes"])


def test_what_does_not_go_together() -> None:
    one = oxygen(4.0, 4.0)

    def check(other: Density, message: str, kind: type[Exception] = ConfigurationError) -> None:
        with pytest.raises(kind, match=message):
            combine([Term(1.0, "a", one), Term(-1.0, "b", other)])

    small = Grid(np.eye(3) * 3, (60, 60, 30))
    check(
        Density(one.atoms, small, one.values[..., ::2]), "a has 60 x 60 x 60 points, b 60 x 60 x 30"
    )
    check(
        replace(one, grid=Grid(np.eye(3) * 3.1, one.grid.shape)), "another cell or another origin"
    )
    check(replace(one, metadata={"quantity": "potential"}), "an electron density, b a potential")
    moved = one.atoms.copy()
    moved.positions += 0.5
    notes = combine([Term(1.0, "a", one), Term(1.0, "b", replace(one, atoms=moved))]).metadata[
        "notes"
    ]
    assert any("atoms of b are up to 0.866 Å from those of a" in note for note in notes)
    known = replace(one, level=LevelOfTheory("PBE"))
    with pytest.raises(LevelOfTheoryError, match="cannot be combined"):
        combine(
            [
                Term(1.0, "a", known),
                Term(1.0, "b", one),
                Term(1.0, "c", replace(one, level=LevelOfTheory("SCAN"))),
            ]
        )


@pytest.mark.parametrize(
    "words", [["a"], ["a", "b"], ["a", "+"], ["+", "a", "+", "-", "b"], ["a+b"]]
)
def test_other_forms(words: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["combine", *words, "-o", str(tmp_path / "x.cube")])
    assert result.exit_code == 2
    assert "not of the form A + B" in result.output
