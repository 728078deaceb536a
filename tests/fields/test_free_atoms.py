"""Free atoms and their cores: electrons, other programs, derivatives; Hirshfeld's charges."""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
from ase import Atoms
from scipy.integrate import trapezoid

from deepdft.density import Grid
from deepdft.errors import UnsupportedStructureError
from deepdft.fields.free_atoms import FreeAtomTables, FrozenCores
from deepdft.fields.reductions import Subject, known_reductions, reductions_of
from deepdft.fields.walk import slabs, walk
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR, PER_CUBIC_BOHR

RADII = np.linspace(0, 8.0**0.5, 20001) ** 2


def electrons(radial, species=0):
    return trapezoid(4 * np.pi * RADII**2 * radial.at(species, RADII), RADII)


@pytest.mark.parametrize("number", [1, 6, 8, 17, 26, 47, 79, 92])
def test_free_atoms_and_cores_hold_their_electrons(number):
    tables = FreeAtomTables.load()
    _, radial = tables.free_atoms([number])
    assert electrons(radial) == pytest.approx(number, abs=1e-3)
    for count in tables.cores[tables.cores[:, 0] == number - 1, 1]:
        _, radial = tables.frozen_cores([number], [count])
        assert electrons(radial) == pytest.approx(count, abs=1e-3)


def test_a_free_atom_is_that_of_pyscf():
    gto = pytest.importorskip("pyscf.gto")
    from pyscf.dft import numint
    from pyscf.scf import atom_ks

    atom = gto.M(atom="Ne", basis="aug-cc-pvqz", verbose=0)
    result = atom_ks.get_atm_nrks(atom, xc="pbe", grid=(100, 302))["Ne"]
    orbitals, occupations = result[2], result[3]
    distances = np.array([0.05, 0.2, 0.5, 1.0, 1.5])
    points = np.stack([0 * distances, 0 * distances, distances / BOHR], axis=1)
    values = numint.eval_ao(atom, points) @ orbitals
    expected = (values**2 @ occupations) * PER_CUBIC_BOHR
    _, radial = FreeAtomTables.load().free_atoms([10])
    np.testing.assert_allclose(radial.at(0, distances), expected, rtol=0.04)


def test_cores_have_true_derivatives():
    atoms = Atoms("NaCl", [(0.1, 0.2, 0.3), (2.3, 0.4, 0.1)], cell=[5, 6, 7], pbc=True)
    field = FrozenCores(atoms, [2, 10])
    points = np.array([[0.3, 0.5, 0.4], [2.1, 0.3, 0.35], [1.9, 6.3, 0.2], [4.0, 3.0, 3.5]])
    found = field.at(points, 2)
    np.testing.assert_array_equal(found.value, field.at(points))
    assert (found.value[:3] > 1e-3).all()
    step = 1e-4
    for axis in range(3):
        shift = step * np.eye(3)[axis]
        ahead, behind = field.at(points + shift, 1), field.at(points - shift, 1)
        slope = (ahead.value - behind.value) / (2 * step)
        np.testing.assert_allclose(found.gradient[:, axis], slope, rtol=1e-5, atol=1e-8)
        curvature = (ahead.gradient - behind.gradient) / (2 * step)
        np.testing.assert_allclose(found.hessian[:, axis], curvature, rtol=1e-4, atol=1e-6)
    with pytest.raises(UnsupportedStructureError, match="no core of 3 electrons for Na"):
        FrozenCores(atoms, [3, 10])
    assert not FrozenCores(Atoms("H"), [0]).at([[0.0, 0.0, 0.1]]).any()


class Even:
    """Random values on a grid."""

    def __init__(self, grid):
        self.values = np.random.default_rng(1).random(grid.shape)

    def box(self, grid, start, stop):
        return self.values[tuple(slice(*span) for span in zip(start, stop, strict=True))]


@pytest.mark.parametrize("pbc", [False, True])
def test_hirshfeld_charges_are_those_of_brute_force(pbc):
    atoms = Atoms("OHNa", [(1.5, 1.6, 1.7), (2.3, 1.6, 1.9), (1.2, 3.2, 1.1)])
    atoms.set_cell([3.4, 4.1, 3.0])
    atoms.pbc = pbc
    grid = Grid(atoms.cell.array, (9, 10, 8))
    field = Even(grid)
    charges = np.array([6.0, 1.0, 9.0])
    subject = Subject(atoms, LevelOfTheory(), grid, charges)
    assert "hirshfeld" not in reductions_of(subject).members
    assert known_reductions()["hirshfeld"].of(Subject(atoms, LevelOfTheory(), grid)) is None
    empty = reductions_of(subject, ["hirshfeld"])
    boxes = list(slabs(grid, points=160))
    results = []
    for seed in range(2):
        random.Random(seed).shuffle(boxes)
        total = empty.fresh()
        for box in boxes:
            part = pickle.loads(pickle.dumps(empty))
            for _ in walk(field, grid, [box], part):
                pass
            total.merge(part)
        results.append(total.results()["hirshfeld"])
    assert results[0] == results[1]
    points = grid.points().reshape(-1, 3)
    species, radial = FreeAtomTables.load().free_atoms(atoms.numbers)
    images = range(-3, 4) if pbc else [0]
    parts = np.zeros((3, len(points)))
    for i in images:
        for j in images:
            for k in images:
                places = atoms.positions + np.array([i, j, k]) @ atoms.cell.array
                for atom, place in enumerate(places):
                    distances = np.linalg.norm(points - place, axis=1)
                    parts[atom] += radial.at(species[atom], distances)
    shares = parts / parts.sum(axis=0)
    expected = charges - shares @ field.values.ravel() * grid.voxel_volume
    np.testing.assert_allclose(results[0], expected, rtol=0, atol=1e-9)
    # Nothing is lost: the charges sum to that of all.
    total = charges.sum() - field.values.sum() * grid.voxel_volume
    assert sum(results[0]) == pytest.approx(total, abs=1e-9)
