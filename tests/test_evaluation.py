"""Evaluation against exact answers."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.data import DensityDataset, Probes
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.evaluation.evaluate import AtomicSuperposition, evaluate
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.levels import LevelOfTheory

LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp")


class Scaled(DensityDataset):
    """Superposed atoms times a factor: their error against the atoms is known exactly."""

    def __init__(self, factors, tables):
        self.factors = factors
        self.tables = tables
        self.level = LEVEL

    @property
    def names(self):
        return [f"x{factor}" for factor in self.factors]

    def atoms(self, index):
        return Atoms("CO", [(0, 0, 0), (0, 0, 1.13)])

    def draw(self, index, count, generator, *, cutoff, importance=0.0):
        points = generator.uniform(-3, 4, (count, 3))
        values = self.factors[index] * SuperposedAtoms(self.tables, self.atoms(index)).at(points)
        return Probes(points, values, np.ones(count))

    def grid(self, index, spacing=0.1, margin=5.0):
        return Grid.around(self.atoms(index), spacing, margin)

    def slab(self, index, grid, start, stop):
        points = grid.points((start, 0, 0), (stop, *grid.shape[1:]))
        values = SuperposedAtoms(self.tables, self.atoms(index)).at(points.reshape(-1, 3))
        return self.factors[index] * values.reshape(points.shape[:3])

    def n_electrons(self, index):
        return 10.0 * self.factors[index]


@pytest.fixture(scope="module")
def tables():
    return AtomicDensityTables.load("pbe-gth-dzvp")


def test_eps_mae_is_equation_7(tables):
    (result,) = evaluate(
        [AtomicSuperposition(tables)], Scaled([1.25, 0.5], tables), spacing=0.25, margin=4.0
    )
    errors = [row.eps_mae for row in result.rows]
    assert errors == pytest.approx([0.25 / 1.25, 0.5 / 0.5], rel=1e-9)
    assert [row.reference["electrons"] for row in result.rows] == pytest.approx(
        [12.5, 5.0], rel=5e-3
    )
    # Superposed spherical atoms have no dipole.
    assert [row.predicted["dipole"]["magnitude"] for row in result.rows] == pytest.approx(
        [0, 0], abs=0.02
    )
    whole = result.summary()
    assert whole["mean_absolute_differences"]["electrons"] == pytest.approx(3.75, rel=5e-3)
    summary = whole["eps_mae"]
    assert summary["mean"] == pytest.approx(60.0)
    assert summary["standard_error"] == pytest.approx(40.0)
    assert summary["max"] == pytest.approx(100.0)
    assert summary["worst"] == "x0.5"


def test_a_quick_estimate_is_unbiased_within_its_own_error(tables):
    (result,) = evaluate([AtomicSuperposition(tables)], Scaled([1.25], tables), quick=300)
    row = result.rows[0]
    # Error and norm are proportional here, so the ratio is exact and its spread zero.
    assert row.eps_mae == pytest.approx(0.2, rel=1e-9)
    assert row.eps_mae_standard_error == pytest.approx(0.0, abs=1e-12)
    assert result.summary()["estimate"] is True


def test_the_grid_integral_does_not_depend_on_how_the_grid_is_cut(tables, monkeypatch):
    from deepdft.evaluation import evaluate as evaluation

    data = Scaled([1.1], tables)
    (whole,) = evaluate([AtomicSuperposition(tables)], data, spacing=0.3)
    monkeypatch.setattr(evaluation, "_SLAB_POINTS", 1)
    (cut,) = evaluate([AtomicSuperposition(tables)], data, spacing=0.3)
    for name in ("electrons", "absolute_integral", "dipole"):
        assert cut.rows[0].reference[name] == pytest.approx(whole.rows[0].reference[name], 1e-12)
    assert whole.rows[0].eps_mae == pytest.approx(cut.rows[0].eps_mae, rel=1e-12)


def test_levels_of_theory_are_not_mixed(tables):
    data = Scaled([1.1], tables)
    data.level = LevelOfTheory("SCAN", "PAW", "500 eV")
    with pytest.raises(LevelOfTheoryError, match="superposed atoms"):
        evaluate([AtomicSuperposition(tables)], data)
    assert evaluate([AtomicSuperposition(tables)], data, quick=20, mix_levels=True)


def test_nothing_to_evaluate_gets_a_sentence(tables):
    with pytest.raises(ConfigurationError, match="no structures to evaluate"):
        evaluate([AtomicSuperposition(tables)], Scaled([], tables))


@pytest.mark.parametrize("quick", [None, 50])
def test_a_density_that_is_zero_gets_a_sentence(tables, quick):
    data = Scaled([1.25, 0.0], tables)
    with pytest.raises(ConfigurationError, match=r"density of x0\.0 is zero everywhere"):
        evaluate([AtomicSuperposition(tables)], data, quick=quick, spacing=0.5, margin=2.0)
