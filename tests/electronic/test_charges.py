"""Charges, moments and potentials of densities on grids."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase.build import bulk, molecule

import deepdft
from deepdft.density import Density, Grid
from deepdft.electronic.charges import charges_and_moments, electrostatic_potential
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.walk import density_on


@pytest.fixture(scope="module")
def water():
    return deepdft.predict(molecule("H2O"), "qm9", spacing=0.2)


def test_water(water):
    found = charges_and_moments(water)
    assert found.expected_electrons == 8
    assert abs(found.electrons - 8) < 0.1
    assert found.charges.sum() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(found.charges, [-0.30, 0.15, 0.15], atol=0.03)
    # Measured: 1.855 D; PBE: 1.8 to 2.0 D by basis set.
    assert found.debye == pytest.approx(1.9, abs=0.15)
    assert found.dipole[2] * (water.atoms.positions[1, 2] - water.atoms.positions[0, 2]) > 0
    # An overall factor is taken out again; an ion is one.
    scaled = charges_and_moments(replace(water, values=1.03 * water.values))
    np.testing.assert_allclose(scaled.charges, found.charges, atol=1e-9)
    np.testing.assert_allclose(scaled.dipole, found.dipole, atol=1e-9)
    for name, value in found.quadrupole.items():
        assert scaled.quadrupole[name] == pytest.approx(value, abs=1e-9)
    with pytest.raises(ConfigurationError, match="electrons and its structure 10"):
        charges_and_moments(water, np.array([8.0, 1.0, 1.0]))
    ion = water.atoms.copy()
    ion.info["charge"] = -1
    charged = charges_and_moments(replace(water, atoms=ion, values=water.values * 9 / 8))
    assert charged.charges.sum() == pytest.approx(-1, abs=1e-9)


def test_the_potential_of_water_is_negative_at_its_lone_pairs(water):
    potential = electrostatic_potential(water)
    oxygen = water.atoms.positions[0]
    assert potential.at([oxygen + np.array([0, 0, 2.0])])[0] < -1.0
    assert potential.at([oxygen - np.array([0, 0, 3.0])])[0] > 0.3
    # From afar, a dipole.
    dipole = charges_and_moments(water).dipole
    far = np.array([0.0, 0.0, 30.0])
    centre = np.array([6, 1, 1]) @ water.atoms.positions / 8
    expected = 14.39964 * dipole[2] * (far - centre)[2] / np.linalg.norm(far - centre) ** 3
    assert potential.at([far])[0] == pytest.approx(expected, rel=0.05)


def test_superposed_free_atoms_have_no_charges():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    grid = Grid(atoms.cell.array, (24, 24, 24))
    density = density_on(SuperposedAtoms(tables, atoms), grid)
    found = charges_and_moments(density)
    # Those of the table are confined, and a little otherwise than free ones.
    assert np.abs(found.charges).max() < 0.2
    assert found.dipole is None
    assert found.quadrupole is None


def test_unknown_cores_are_asked_for(water):
    unknown = replace(water, level=deepdft.LevelOfTheory())
    with pytest.raises(LevelOfTheoryError, match="give core_charges"):
        charges_and_moments(unknown)
    assert charges_and_moments(unknown, np.array([6.0, 1.0, 1.0])).debye > 1.5
    whole = Density(
        water.atoms, water.grid, water.values, level=deepdft.LevelOfTheory("PBE", "PAW")
    )
    with pytest.raises(LevelOfTheoryError, match="PBE/PAW"):
        electrostatic_potential(whole)
