"""Integrals over all space from points around the atoms."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.quadrature import integrals_by_atom

REACH = 3.0


@pytest.fixture(scope="module")
def bumps() -> AtomicDensityTables:
    """Smooth functions that end at the reach, as differences of densities do."""
    distances = np.linspace(0.0, REACH, 121)
    knots = np.zeros((4, len(distances), 3))
    for row, width in enumerate((0.4, 0.6, 0.8, 1.0)):
        part = distances / REACH
        # (1 - u^2)^4 vanishes smoothly; the Gaussian makes it as sharp as a bond.
        gauss, edge = np.exp(-((distances / width) ** 2)), (1 - part**2) ** 4
        slope = -2 * distances / width**2 * gauss * edge
        slope -= gauss * 8 * part / REACH * (1 - part**2) ** 3
        knots[row, :, 0] = gauss * edge
        knots[row, :, 1] = slope
        knots[row, :, 2] = np.gradient(slope, distances, edge_order=2)
    knots[:, -1] = 0.0
    return AtomicDensityTables(("H", "C", "O", "Si"), knots, REACH / 120)


@pytest.mark.parametrize(
    "atoms",
    [molecule("CH3CH2OH"), bulk("Si"), bulk("SiC", "zincblende", a=4.36, cubic=True), Atoms("H")],
    ids=str,
)
def test_integrals_of_smooth_functions(bumps, atoms):
    field = SuperposedAtoms(bumps, atoms, threads=1)
    exact = sum(bumps.electrons(symbol) for symbol in atoms.symbols)
    shares = integrals_by_atom(field.at, atoms, REACH, threads=1)
    assert shares.shape == (len(atoms),)
    assert shares.sum() == pytest.approx(exact, rel=2e-4)


def test_equivalent_atoms_have_equal_shares(bumps):
    atoms = bulk("Si")
    shares = integrals_by_atom(SuperposedAtoms(bumps, atoms).at, atoms, REACH)
    assert shares[0] == pytest.approx(shares[1], rel=1e-3)


def test_shares_do_not_depend_on_what_is_far_away(bumps):
    water = molecule("H2O")
    alone = integrals_by_atom(SuperposedAtoms(bumps, water).at, water, REACH)
    far = molecule("CH4")
    far.translate((15.0, 0.0, 0.0))
    both = water + far
    found = integrals_by_atom(SuperposedAtoms(bumps, both).at, both, REACH)
    np.testing.assert_allclose(found[:3], alone, rtol=1e-10)
