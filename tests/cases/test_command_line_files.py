"""Names and grids of files on the command line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from typer.testing import CliRunner

from deepdft.cli import app
from deepdft.comparison import compare_densities
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.formats import write
from deepdft.prediction.like_grid import grid_like
from deepdft.prediction.predict import uncertainty_path
from tests.formats.samples import skewed_density


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("x.CHGCAR.zz", "x_uncertainty.CHGCAR.zz"),
        ("x.cube.lz4", "x_uncertainty.cube.lz4"),
        ("x.cube.GZ", "x_uncertainty.cube.GZ"),
        ("x.cube", "x_uncertainty.cube"),
        ("CHGCAR", "uncertainty.CHGCAR"),
    ],
)
def test_the_second_volume_of_a_compressed_file(given: str, expected: str) -> None:
    assert uncertainty_path(given) == Path(expected)


def test_a_grid_of_another_cell_is_refused() -> None:
    atoms = Atoms("Si", cell=[4.0, 4.0, 5.0], pbc=True)
    rounded = Grid(np.diag([4.0001, 4.0, 4.9999]), (8, 8, 10))
    assert np.array_equal(grid_like(atoms, rounded, "x.cube").cell, np.diag([4.0, 4.0, 5.0]))
    other = Grid(np.diag([4.0, 4.0, 5.5]), (8, 8, 10))
    with pytest.raises(ConfigurationError, match=r"of another cell than Si: along c .* 5\.5000"):
        grid_like(atoms, other, "x.cube")
    atoms.pbc = [True, True, False]
    assert np.array_equal(grid_like(atoms, other, "x.cube").cell, other.cell)
    assert grid_like(Atoms("H"), other, "x.cube") == other


def test_comparing_different_cells_is_a_warning() -> None:
    density = skewed_density()
    scaled = density.atoms.copy()
    scaled.set_cell(np.asarray(scaled.cell) * 1.05, scale_atoms=True)
    grid = Grid(density.grid.cell * 1.05, density.grid.shape)
    result = compare_densities(density, replace(density, atoms=scaled, grid=grid))
    assert any("the cells differ: edges of 5.1088" in warning for warning in result.warnings)
    assert not compare_densities(density, density).warnings


def test_names_with_brackets_print_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a[bold]b[red].cube"
    write(path, skewed_density())
    result = CliRunner().invoke(app, ["inspect", str(path)])
    assert result.exit_code == 0
    assert "a[bold]b[red].cube" in result.output
