"""Reductions: sums that depend on neither order nor cutting, the dipole against other programs."""

from __future__ import annotations

import itertools
import math
import pickle
import random
from fractions import Fraction

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.density import Grid
from deepdft.dft.pyscf import PySCFCalculation
from deepdft.fields.reductions import (
    Reductions,
    Subject,
    described,
    flattened,
    known_reductions,
    reductions_of,
)
from deepdft.fields.reductions.dipole import DEBYE
from deepdft.fields.reductions.sums import ExactSums
from deepdft.fields.walk import slabs, walk
from deepdft.levels import LevelOfTheory

LEVEL = LevelOfTheory("PBE", "GTH-PBE")
SKEWED = np.array([[3.0, 0.4, -0.2], [0.3, 4.1, 0.8], [1.0, -0.5, 5.2]])


class Stored:
    """Values on one grid."""

    def __init__(self, values):
        self.values = values

    def box(self, grid, start, stop):
        return self.values[tuple(slice(*span) for span in zip(start, stop, strict=True))]


def subject(grid, atoms=None, charges=None, reference=None):
    atoms = Atoms("CO", [(0, 0, 0), (0, 0, 1.13)]) if atoms is None else atoms
    charges = np.array([4.0, 6.0]) if charges is None else charges
    return Subject(atoms, LEVEL, grid, charges, reference)


def led_through(reductions, field, grid, boxes):
    for _ in walk(field, grid, boxes, reductions):
        pass
    return reductions


def boxes_of(grid, edge):
    ranges = [range(0, n, edge) for n in grid.shape]
    for corner in itertools.product(*ranges):
        yield corner, tuple(min(a + edge, n) for a, n in zip(corner, grid.shape, strict=True))


def test_sums_are_exact_in_any_order():
    generator = random.Random(1)
    values = [generator.uniform(-1, 1) * 10.0 ** generator.randint(-20, 20) for _ in range(400)]
    values += [1e16, 1.0, -1e16, 1e-30]
    exact = float(sum(map(Fraction, values)))
    totals = set()
    for _ in range(5):
        generator.shuffle(values)
        one, other = ExactSums(2), ExactSums(2)
        for number, value in enumerate(values):
            (one if number % 3 else other).add((value, -value))
        one.merge(pickle.loads(pickle.dumps(other)))
        totals.add(tuple(one.totals()))
    assert totals == {(exact, -exact)}
    assert ExactSums(1).totals() == [0.0]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_sum_of_what_is_not_finite_is_not_a_number(value):
    sums = ExactSums(1)
    for term in (1.0, value, -value, 2.0):
        sums.add([term])
    assert math.isnan(sums.totals()[0])


def test_reductions_do_not_depend_on_order_or_on_who_adds():
    grid = Grid(SKEWED, (7, 9, 8), np.array([0.3, -0.2, 0.1]))
    generator = np.random.default_rng(0)
    field, reference = (Stored(generator.normal(size=grid.shape)) for _ in range(2))
    boxes = list(boxes_of(grid, 3))
    empty = reductions_of(subject(grid, reference=reference))
    assert {"electrons", "absolute_integral", "dipole", "eps_mae"} <= set(empty.members)
    expected = led_through(empty.fresh(), field, grid, boxes).results()
    random.Random(1).shuffle(boxes)
    assert led_through(empty.fresh(), field, grid, boxes).results() == expected
    total = empty.fresh()
    for box in reversed(boxes):
        total.merge(led_through(pickle.loads(pickle.dumps(empty)), field, grid, [box]))
    assert total.results() == expected
    whole = led_through(empty.fresh(), field, grid, slabs(grid, 1)).results()
    assert flattened(whole) == pytest.approx(flattened(expected), rel=1e-12)
    values, norm = field.values, np.abs(reference.values).sum()
    assert expected["electrons"] == pytest.approx(values.sum() * grid.voxel_volume)
    assert expected["absolute_integral"] == pytest.approx(np.abs(values).sum() * grid.voxel_volume)
    assert expected["eps_mae"] == pytest.approx(np.abs(values - reference.values).sum() / norm)


def test_the_dipole_is_the_moment_of_the_points():
    grid = Grid(SKEWED, (7, 9, 8), np.array([0.3, -0.2, 0.1]))
    atoms = Atoms("CO", [(0.2, 0.1, 0.3), (0.5, 0.4, 1.4)])
    values = np.random.default_rng(0).random(grid.shape).astype(np.float32)
    values *= 10.0 / (values.sum() * grid.voxel_volume)
    found = led_through(
        reductions_of(subject(grid, atoms)), Stored(values), grid, boxes_of(grid, 4)
    ).results()["dipole"]
    electrons = np.einsum("ijk,ijkx->x", values, grid.points()) * grid.voxel_volume
    expected = np.array([4.0, 6.0]) @ atoms.positions - electrons
    # Neutral to single precision, so the centre does not matter.
    np.testing.assert_allclose([found[x] for x in "xyz"], expected, rtol=0, atol=1e-5)
    assert found["magnitude"] == pytest.approx(np.linalg.norm(expected), abs=1e-5)
    assert found["debye"] / found["magnitude"] == pytest.approx(4.80320, rel=1e-5)
    assert described({"electrons": 10.0, "dipole": found}) == [f"dipole {found['debye']:.3f} D"]


@pytest.mark.parametrize("pbc", list(itertools.product((False, True), repeat=3)))
def test_a_dipole_has_no_components_along_periodic_directions(pbc):
    pbc = np.array(pbc)
    atoms = Atoms("CO", [(0.2, 0.1, 0.3), (0.5, 0.4, 1.4)], cell=SKEWED, pbc=pbc)
    grid = Grid(SKEWED, (6, 6, 6))
    values = np.random.default_rng(0).random(grid.shape)
    total = led_through(reductions_of(subject(grid, atoms)), Stored(values), grid, slabs(grid))
    free = Atoms(atoms.numbers, atoms.positions)
    molecule = led_through(reductions_of(subject(grid, free)), Stored(values), grid, slabs(grid))
    if pbc.all():
        assert "dipole" not in total.members
        return
    vector, whole = (
        np.array([taken.results()["dipole"][x] for x in "xyz"]) for taken in (total, molecule)
    )
    np.testing.assert_allclose(SKEWED[pbc] @ vector, 0, atol=1e-12)
    # What was taken away lies along the periodic directions.
    along = np.linalg.lstsq(SKEWED[pbc].T, whole - vector)[0] if pbc.any() else np.zeros(0)
    np.testing.assert_allclose(SKEWED[pbc].T @ along, whole - vector, atol=1e-12)


def test_there_is_no_dipole_without_known_charges():
    grid = Grid(SKEWED, (2, 2, 2))
    atoms = Atoms("CO", [(0, 0, 0), (0, 0, 1.13)])
    assert "dipole" not in reductions_of(Subject(atoms, LEVEL, grid)).members
    assert "eps_mae" not in reductions_of(Subject(atoms, LEVEL, grid)).members


def test_the_dipole_is_that_of_pyscf(tmp_path):
    pytest.importorskip("pyscf")
    atoms = molecule("H2O")
    atoms.rotate(40, (1, 2, 3))
    result = PySCFCalculation().run(atoms, tmp_path)
    grid = Grid.around(atoms, 0.15, 5.0)
    field = Stored(result.density.on_grid(grid).values)
    taken = reductions_of(subject(grid, atoms, np.array([6.0, 1.0, 1.0])))
    found = led_through(taken, field, grid, slabs(grid)).results()["dipole"]
    expected = result.details["dipole"]
    np.testing.assert_allclose([found[x] for x in "xyz"], expected, rtol=0, atol=1e-3)
    assert found["debye"] > 1.5


def test_electrons_come_first_and_a_debye_is_what_it_is():
    assert next(iter(known_reductions())) == "electrons"
    assert pytest.approx(4.80320471) == DEBYE
    assert Reductions().results() == {}
