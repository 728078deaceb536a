"""`deepdft plot` and `deepdft predict --show`."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from PIL import Image

from deepdft import Density, Grid, LevelOfTheory
from deepdft.fields.atoms import AtomicDensityTables

LEVEL = AtomicDensityTables.load("pbe-gth-dzvp").level


@pytest.fixture
def hydrogen(tmp_path) -> Density:
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, 0.74]])
    grid = Grid.around(atoms, 0.3, 2.0)
    distances = np.linalg.norm(grid.points()[..., None, :] - atoms.positions, axis=-1)
    density = Density(atoms, grid, np.exp(-3 * distances).sum(axis=-1), level=LEVEL)
    density.write(tmp_path / "h2.cube")
    return density


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--iso", 0.1, "--view", 1, 0, 0, "--title", "hydrogen"],
        ["--slice", "001", "--shift", 0.2],
        ["--slice", "atoms"],
        ["--line", 0, 1, "--difference", "h2.cube"],
        ["--line", 0, "0,0,3"],
        ["--difference", "atoms"],
    ],
)
def test_plot_draws(run, hydrogen, tmp_path, options):
    result = run("plot", "h2.cube", "--dpi", 60, *options)
    assert result.code == 0, result.error
    assert "written: h2.png" in result.output
    with Image.open(tmp_path / "h2.png") as image:
        assert image.size[0] == pytest.approx(3.5 * 60, abs=2)
        assert len(np.unique(np.asarray(image.convert("L")))) > 20


def test_plot_writes_svg_and_html(run, hydrogen, tmp_path):
    assert run("plot", "h2.cube", "--slice", "100", "-o", "a.svg").code == 0
    assert (tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
    assert run("plot", "h2.cube", "--iso", 0.1, "-o", "a.html").code == 0
    assert "isosurface at 0.1 e/Å³" in (tmp_path / "a.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--slice", "01"], "three indices"),
        (["--line", 0, 2], "0 to 1"),
        (["--iso", 1, "--slice", "001"], "one of --iso, --slice and --line"),
        (["-o", "a.gif"], "not 'a.gif'"),
        (["-o", "a.html", "--slice", "001"], "not as .html"),
        (["--difference", "absent.cube"], "absent.cube"),
    ],
)
def test_plot_says_what_is_wrong(run, hydrogen, tmp_path, options, sentence):
    result = run("plot", "h2.cube", *options)
    assert result.code == 2
    assert sentence in result.error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["h2.cube"]


def test_plot_does_not_mix_levels_of_theory(run, hydrogen, tmp_path):
    foreign = Density(hydrogen.atoms, hydrogen.grid, hydrogen.values, level=LevelOfTheory("SCAN"))
    foreign.write(tmp_path / "scan.cube")
    arguments = ("plot", "h2.cube", "--difference", "scan.cube", "--slice", "001")
    refused = run(*arguments)
    assert refused.code == 2
    assert "functional" in refused.error
    assert run(*arguments, "--mix-levels").code == 0


def test_predict_shows_what_it_predicted(run, small_model, tmp_path, monkeypatch):
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    result = run("predict", "O", "-m", small_model, "--spacing", 0.5, "-o", "w.cube", "--show")
    assert result.code == 0, result.error
    assert opened == [(tmp_path / "w.html").as_uri()]
    assert "3Dmol" in (tmp_path / "w.html").read_text(encoding="utf-8")
