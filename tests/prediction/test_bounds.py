"""What changes a predicted density and by how much at most: the bounds in docs/conventions.md."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

from deepdft.density import Grid
from deepdft.prediction.trained_model import load_model

ROUNDING = 5e-6
"""e/Å^3: largest change by float32, the order of atoms, and lattice translations."""


@pytest.fixture(scope="module")
def model():
    model = load_model("default", "cpu")
    model.threads = 1
    return model


@pytest.fixture(scope="module")
def water():
    atoms = molecule("H2O")
    atoms.set_initial_magnetic_moments(None)
    atoms.set_cell([[3.4, 0, 0], [0.3, 3.6, 0], [0, 0.2, 3.9]])
    atoms.pbc = True
    return atoms


GRID = Grid(np.array([[3.4, 0, 0], [0.3, 3.6, 0], [0, 0.2, 3.9]]), (9, 10, 11))


def density(model, atoms):
    return model.engine(atoms).box(GRID, (0, 0, 0), GRID.shape)


@pytest.fixture(scope="module")
def usual(model, water):
    return density(model, water)


def test_repeats_and_threads_change_no_bit(model, water, usual) -> None:
    assert np.array_equal(density(model, water), usual)
    other = load_model("default", "cpu")
    other.threads = 3
    assert np.array_equal(density(other, water), usual)


def test_parts_of_a_grid_change_no_bit(model, water, usual) -> None:
    engine = model.engine(water)
    for start, stop in (
        ((0, 0, 0), (1, 10, 11)),
        ((3, 2, 5), (7, 9, 6)),
        ((8, 9, 10), (9, 10, 11)),
    ):
        place = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
        assert np.array_equal(engine.box(GRID, start, stop), usual[place])
    for size in (7, 64, 1000):
        engine.block_size = size
        assert np.array_equal(engine.box(GRID, (0, 0, 0), GRID.shape), usual)


def test_single_precision(model, water, usual) -> None:
    exact = load_model("default", "cpu").to(precision="float64")
    exact.threads = 1
    assert 0 < np.abs(density(exact, water) - usual).max() < ROUNDING


def test_the_order_of_atoms(model, water, usual) -> None:
    assert np.abs(density(model, water[[2, 0, 1]]) - usual).max() < ROUNDING


def test_lattice_translations(model, water, usual) -> None:
    moved = water.copy()
    moved.positions += np.array([[1, 0, 0], [0, -2, 1], [3, 3, 3]]) @ water.cell.array
    assert np.abs(density(model, moved) - usual).max() < ROUNDING
