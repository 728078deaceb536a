"""IRI, DORI and Hessian eigenvalues against closed forms; sums of fields."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.field import Derivatives
from deepdft.fields.field_sum import FieldSum
from deepdft.fields.indicators import DensityOverlapRegion, HessianEigenvalue, InteractionRegion
from deepdft.units import BOHR, PER_CUBIC_BOHR


class Slater:
    """sum_a exp(-2 |r - R_a|) with lengths in bohr, in the units of a field."""

    largest_order = 2

    def __init__(self, atoms):
        self.atoms = atoms
        self.level = None

    def at(self, points, order=0):
        found = Derivatives.zeros((len(points),), 2)
        for place in self.atoms.positions:
            x = (np.asarray(points) - place) / BOHR
            r = np.linalg.norm(x, axis=1)
            value = np.exp(-2 * r)
            along = np.einsum("pi,pj->pij", x, x) / r[:, None, None] ** 2
            found.value[:] += value * PER_CUBIC_BOHR
            found.gradient[:] += (-2 * value / r)[:, None] * x * PER_CUBIC_BOHR / BOHR
            rest = np.eye(3) - along
            hessian = value[:, None, None] * (4 * along - 2 * rest / r[:, None, None])
            found.hessian[:] += hessian * PER_CUBIC_BOHR / BOHR**2
        return found


def test_indicators_of_one_exponential():
    field = Slater(Atoms("H"))
    points = np.random.default_rng(0).uniform(0.3, 1.2, (6, 3))
    density = np.exp(-2 * np.linalg.norm(points, axis=1) / BOHR)
    found = InteractionRegion(field).at(points)
    np.testing.assert_allclose(found, 2 * density / density**1.1)
    # |grad rho| / rho is the same everywhere: nothing overlaps.
    np.testing.assert_allclose(DensityOverlapRegion(field).at(points), 0, atol=1e-12)
    np.testing.assert_allclose(HessianEigenvalue(field, 3).at(points), 4 * density)
    r = np.linalg.norm(points, axis=1) / BOHR
    np.testing.assert_allclose(HessianEigenvalue(field, 1).at(points), -2 * density / r)
    far = np.array([[0.0, 0.0, 9.0]])
    assert InteractionRegion(field).at(far) == 5
    assert DensityOverlapRegion(field).at(far) == 0
    with pytest.raises(ConfigurationError, match="1, 2 and 3, not 4"):
        HessianEigenvalue(field, 4)


def test_dori_is_its_definition_by_differences_and_one_in_a_bond():
    field = Slater(Atoms("H2", [(0, 0, 0), (0, 0, 1.4)]))
    points = np.array([[0.2, 0.1, 0.5], [0.0, 0.6, 0.8], [0.3, -0.4, 1.9]])

    def square(places):
        found = field.at(places)
        return ((found.gradient / found.value[:, None] * BOHR) ** 2).sum(axis=1)

    step = 1e-4
    change = np.stack([
        (square(points + step * axis) - square(points - step * axis)) / (2 * step / BOHR)
        for axis in np.eye(3)
    ])  # fmt: skip
    theta = (change**2).sum(axis=0) / square(points) ** 3
    found = DensityOverlapRegion(field).at(points)
    np.testing.assert_allclose(found, theta / (1 + theta), rtol=1e-5)
    assert DensityOverlapRegion(field).at([[0.0, 1e-3, 0.7]])[0] > 0.99
    assert InteractionRegion(field).at([[0.0, 0.0, 0.7]])[0] == pytest.approx(0, abs=1e-12)


class ValuesAlone(SuperposedAtoms):
    largest_order = 0


def test_fields_of_a_network_have_boxes_and_a_sum_is_one():
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    atoms = Atoms("OH", [(0.1, 0.2, 0.3), (0.1, 0.2, 1.2)], cell=[3, 3, 3], pbc=True)
    field = SuperposedAtoms(tables, atoms)
    grid = Grid(atoms.cell.array, (6, 6, 6))
    for kind in (InteractionRegion, DensityOverlapRegion, HessianEigenvalue):
        box = kind(field).box(grid, (1, 2, 3), (4, 4, 5))
        points = grid.points((1, 2, 3), (4, 4, 5)).reshape(-1, 3)
        np.testing.assert_allclose(box.ravel(), kind(field).at(points), rtol=1e-12)
    double = FieldSum([field, field])
    points = grid.points().reshape(-1, 3)
    np.testing.assert_array_equal(double.at(points), 2 * field.at(points))
    for one, two in zip(field.at(points, 2), double.at(points, 2), strict=True):
        np.testing.assert_array_equal(two, 2 * one)
    assert double.box(grid, (0, 0, 0), grid.shape, 1).hessian is None
    values = ValuesAlone(tables, atoms)
    assert FieldSum([field, values]).largest_order == 0
    with pytest.raises(ConfigurationError, match="order 2, and this one has them up to order 0"):
        DensityOverlapRegion(values)
