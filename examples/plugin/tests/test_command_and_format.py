"""The command and the format are found, and do what they say."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from ase import Atoms

import deepdft
from deepdft.cli import main
from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.levels import LevelOfTheory

LEVEL = LevelOfTheory("PBE", "all-electron", "cc-pVDZ", "some program")


@pytest.fixture
def density():
    """One Gaussian at the first point of the second atom."""
    atoms = Atoms("HF", [[0, 0, 0], [0, 0, 1.0]])
    grid = Grid(np.diag([2.0, 3.0, 4.0]), (4, 6, 8), np.array([0.0, 0.0, -1.0]))
    distance = np.linalg.norm(grid.points() - atoms.positions[1], axis=-1)
    return Density(atoms, grid, np.exp(-distance), level=LEVEL)


def test_what_is_written_is_read_by_its_name_and_by_its_content(density, tmp_path):
    density.write(tmp_path / "rho.textgrid")
    (tmp_path / "nameless").write_bytes((tmp_path / "rho.textgrid").read_bytes())
    for name in ("rho.textgrid", "nameless"):
        found = deepdft.read(tmp_path / name)
        np.testing.assert_allclose(found.values, density.values, rtol=1e-8)
        np.testing.assert_array_equal(found.grid.points(), density.grid.points())
        assert found.level == LEVEL
        assert str(found.atoms.symbols) == "HF"


def test_a_damaged_file_is_a_sentence(density, tmp_path):
    path = tmp_path / "rho.textgrid"
    density.write(path)
    path.write_bytes(path.read_bytes().replace(b'"cell"', b'"sell"', 1))
    with pytest.raises(FileFormatError, match="the first line is damaged"):
        deepdft.read(path)


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["deepdft", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert not stopped.value.code
    return capsys.readouterr().out


def test_the_command(density, tmp_path, monkeypatch, capsys):
    density.write(tmp_path / "rho.textgrid")
    shown = run(monkeypatch, capsys, "highest", tmp_path / "rho.textgrid")
    assert shown == "1.0000 e/Å^3 at 0.000 0.000 1.000 Å\n"
    found = json.loads(
        run(monkeypatch, capsys, "highest", tmp_path / "rho.textgrid", "--json", "-")
    )
    assert (found["value"], found["place"]) == (1.0, [0.0, 0.0, 1.0])
    assert "Say where a density is highest." in run(monkeypatch, capsys, "--help")
    assert "deepdft highest CHGCAR" in run(monkeypatch, capsys, "highest", "--help")
    run(monkeypatch, capsys, "convert", tmp_path / "rho.textgrid", tmp_path / "rho.cube")
