"""Bader's charges and critical points: symmetry, closed forms, counts that have to come out."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.density import Density, Grid
from deepdft.electronic.bader import bader_charges, basins
from deepdft.electronic.critical_points import topology
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.field_sum import FieldSum
from deepdft.fields.free_atoms import FrozenCores
from deepdft.fields.walk import density_on


def superposed(atoms):
    return SuperposedAtoms(AtomicDensityTables.load("pbe-gth-dzvp"), atoms)


def test_basins_of_gaussians_end_half_way():
    cell = np.array([[6.0, 0, 0], [1.0, 5.0, 0], [0.5, 0.7, 5.5]])
    grid = Grid(cell, (30, 26, 28))
    centres = np.array([[0.25, 0.5, 0.5], [0.75, 0.5, 0.5]]) @ cell
    points = grid.points()
    values = sum(
        np.exp(-6 * ((points - centre) ** 2).sum(axis=-1)) * weight
        for centre, weight in zip(centres, (1.0, 1.0), strict=True)
    )
    maxima, sums = basins(values, values, grid, (False, False, False))
    main = np.argsort(-sums)[:2]
    assert sums.sum() == pytest.approx(values.sum())
    assert sums[main[0]] == pytest.approx(sums[main[1]], rel=5e-3)
    places = points.reshape(-1, 3)[maxima[main]]
    assert np.linalg.norm(places[:, None] - centres, axis=-1).min(axis=1).max() < 0.2
    # Integrals over half spaces are known: the plane half way between the centres.
    nearer = np.linalg.norm(points - centres[0], axis=-1) < np.linalg.norm(
        points - centres[1], axis=-1
    )
    own = int(np.argmin(np.linalg.norm(places - centres[0], axis=1)))
    assert sums[main[own]] == pytest.approx(values[nearer].sum(), rel=5e-3)


def test_bader_charges_of_superposed_atoms():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    grid = Grid(atoms.cell.array, (40, 40, 40))
    density = density_on(superposed(atoms), grid)
    charges = bader_charges(density)
    assert charges.sum() == pytest.approx(0, abs=1e-9)
    # Even neutral atoms, superposed, are cut so that chlorine gets more.
    assert 0.2 < charges[0] < 0.9
    shifted = atoms.copy()
    shifted.positions += [0.33, 0.21, 0.4]
    moved = bader_charges(density_on(superposed(shifted), grid))
    np.testing.assert_allclose(moved, charges, atol=0.01)
    nitrogen = molecule("N2")
    values = density_on(superposed(nitrogen), Grid.around(nitrogen, 0.15, 3.0))
    np.testing.assert_allclose(bader_charges(values), 0, atol=0.01)
    whole = Density(nitrogen, values.grid, values.values, level=values.level)
    np.testing.assert_allclose(bader_charges(whole, np.full(2, 5.0)), 0, atol=0.01)


@pytest.mark.parametrize(
    ("atoms", "bonds", "rings", "cages"),
    [
        (molecule("CH4"), 4, 0, 0),
        (molecule("H2O"), 2, 0, 0),
        (molecule("C6H6"), 12, 1, 0),
        (Atoms("P4", np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) * 0.78), 6, 4, 1),
    ],
)
def test_molecules_have_the_bonds_and_rings_that_chemistry_draws(atoms, bonds, rings, cages):
    valence = {"H": 1, "C": 4, "O": 6, "P": 5}
    cores = atoms.numbers - np.array([valence[symbol] for symbol in atoms.symbols])
    field = superposed(atoms)
    found = topology(field, cores)
    counts = [len(found.of(kind)) for kind in ("attractor", "bond", "ring", "cage")]
    assert counts == [len(atoms), bonds, rings, cages]
    assert (found.sum, found.is_complete) == (1, True)
    whole = FieldSum([field, FrozenCores(atoms, cores)])
    for point in found.points[len(atoms) :]:
        assert np.linalg.norm(whole.at([point.position], 1).gradient) < 1e-4
        assert point.density == pytest.approx(whole.at([point.position])[0], rel=1e-12)


def test_a_crystal_obeys_morse():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    found = topology(superposed(atoms), np.array([2, 10]))
    assert found.expected == 0
    assert {point.kind for point in found.points} >= {"attractor", "bond"}
    # Each of six neighbours; bonds between chlorine atoms may come on top.
    assert len(found.of("bond")) >= 6
    dictionaries = found.as_dicts()
    assert dictionaries[0]["eigenvalues_e/A5"] == [None] * 3
