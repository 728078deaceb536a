"""Points of a grid that are left out hold next to nothing; electrons are counted on the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.dft.pyscf import PySCFCalculation, PySCFSettings, grids_of, molecule_of
from deepdft.electronic.occupied_points import occupied_points
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

pytest.importorskip("pyscf")


@pytest.fixture
def grid(tmp_path):
    atoms, settings = molecule("CH3OH"), PySCFSettings()
    return atoms, grids_of(molecule_of(atoms, settings, tmp_path / "log"), settings)


def test_what_is_left_out_holds_next_to_no_electrons(grid, tmp_path: Path):
    atoms, grids = grid
    density = PySCFCalculation(PySCFSettings()).run(atoms, tmp_path).density
    kept = occupied_points(grids, atoms, density.level)
    assert len(kept.weights) < 0.9 * len(grids.weights)
    whole = grids.weights @ density.at(grids.coords * BOHR)
    part = kept.weights @ density.at(kept.coords * BOHR)
    assert abs(whole - part) * BOHR**3 < 1e-5
    # In the same order: neighbours follow one another.
    places = {tuple(point): place for place, point in enumerate(grids.coords)}
    assert np.all(np.diff([places[tuple(point)] for point in kept.coords]) > 0)


def test_without_superposed_atoms_all_points_are_kept(grid):
    atoms, grids = grid
    kept = occupied_points(grids, atoms, LevelOfTheory("B3LYP", "unknown", "unknown"))
    assert len(kept.weights) == len(grids.weights)


def test_electrons_counted_elsewhere_correct_an_engine_alike(grid):
    atoms, grids = grid
    model = deepdft.load_model("default", device="cpu")
    points = grids.coords * BOHR
    engine = model.engine(atoms)
    uncounted = engine.uncounted()
    values = uncounted.at(points)
    held = 14 + engine.electron_count.deviation
    assert abs(held - 14) > 1e-4
    expected = np.maximum(values + engine.correction_for(held).at(points), 0.0)
    np.testing.assert_allclose(engine.at(points), expected, rtol=0, atol=1e-7)
    # What has counted already does not start again.
    assert engine.uncounted() is engine
    with pytest.raises(ConfigurationError, match="not corrected"):
        uncounted.correction_for(held)


def test_fragments_have_numbers_of_their_own():
    apart = molecule("H2O") + molecule("H2O")
    apart.positions[3:] += 30.0
    engine = deepdft.load_model("default", device="cpu").engine(apart)
    assert engine.uncounted() is engine
