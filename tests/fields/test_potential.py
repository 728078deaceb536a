"""The electrostatic potential: exact sums, Madelung, an integral program."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from scipy.special import erf

from deepdft.density import Density, Grid
from deepdft.dft.pyscf import PySCFCalculation
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.potential import ElectrostaticPotential
from deepdft.fields.potential.poisson import COULOMB
from deepdft.fields.reductions import Subject, reductions_of
from deepdft.fields.walk import slabs, walk
from deepdft.units import BOHR, HARTREE

OUTSIDE = np.array([[0.0, 0.0, 9.0], [-7.0, 5.0, 1.0]])


def gaussians(grid, atoms, electrons, sharpness):
    """Return a density of Gaussians at the atoms and their images next by, e/Å^3."""
    points = grid.points()
    shifts = itertools.product((-1, 0, 1), repeat=3) if atoms.pbc.any() else [(0, 0, 0)]
    total = np.zeros(grid.shape)
    for shift in shifts:
        if (np.array(shift)[~atoms.pbc] != 0).any():
            continue
        for place, count in zip(atoms.positions, electrons, strict=True):
            squares = ((points - place - np.array(shift) @ atoms.cell.array) ** 2).sum(axis=-1)
            total += count * (sharpness**2 / np.pi) ** 1.5 * np.exp(-(sharpness**2) * squares)
    return total


@pytest.mark.parametrize("with_tables", [False, True])
def test_the_potential_of_gaussians_is_exact_in_and_outside_the_box(with_tables):
    atoms = Atoms("OH", [(0.1, 0.2, -0.3), (0.1, 0.9, 0.4)])
    charges, electrons, sharpness = np.array([6.0, 1.0]), np.array([6.6, 0.7]), 2.0
    # The clouds of free atoms are sharper than these Gaussians.
    grid = Grid.around(atoms, 0.12 if with_tables else 0.2, 3.5)
    values = gaussians(grid, atoms, electrons, sharpness)
    tables = AtomicDensityTables.load("pbe-gth-dzvp") if with_tables else None
    potential = ElectrostaticPotential(atoms, grid, values, charges, tables)
    inside = atoms.positions[0] + np.array([[0.3, 0.1, 0.2], [0.0, -1.0, 0.7], [2.0, 2.0, 2.0]])
    points = np.concatenate([inside, OUTSIDE])
    distances = np.linalg.norm(points[:, None] - atoms.positions, axis=-1)
    expected = COULOMB * ((charges - electrons * erf(sharpness * distances)) / distances).sum(1)
    np.testing.assert_allclose(potential.at(points), expected, rtol=0, atol=3e-3)
    start, stop = (5, 6, 7), (9, 9, 9)
    box = potential.box(grid, start, stop)
    np.testing.assert_allclose(
        box.ravel(), potential.at(grid.points(start, stop).reshape(-1, 3)), rtol=0, atol=1e-9
    )
    other = Grid(grid.cell, (11, 12, 13), grid.origin + 0.03)
    expected = potential.at(other.points((1, 2, 3), (4, 5, 6)).reshape(-1, 3))
    np.testing.assert_array_equal(potential.box(other, (1, 2, 3), (4, 5, 6)).ravel(), expected)


def test_the_potential_of_rock_salt_is_madelungs():
    atoms = bulk("NaCl", "rocksalt", a=5.6)
    grid = Grid(atoms.cell.array, (30, 30, 30))
    values = gaussians(grid, atoms, [8.0, 8.0], 2.5)
    potential = ElectrostaticPotential(atoms, grid, values, np.array([9.0, 7.0]))
    mean = potential.box(grid, (0, 0, 0), grid.shape).mean()
    assert abs(mean) < 1.0  # of points next to nuclei little can be told
    # Where the clouds have ended the ions are points of charge +1 and -1: Evjen's sum.
    cells = np.arange(-12, 13)
    places = np.stack(np.meshgrid(cells, cells, cells, indexing="ij"), axis=-1)
    signs = np.where(places.sum(axis=-1) % 2, -1.0, 1.0)
    signs *= np.prod(np.where(np.abs(places) == 12, 0.5, 1.0), axis=-1)
    near_na, near_cl = np.array([[0.9, 0.4, 0.5], [0.9 + 2.8, 0.4, 0.5]])
    expected = [
        COULOMB * (signs / np.linalg.norm(places * 2.8 - point, axis=-1)).sum()
        for point in (near_na, near_cl)
    ]
    found = potential.at([near_na, near_cl])
    assert found[0] - found[1] == pytest.approx(expected[0] - expected[1], abs=5e-3)
    assert found[0] == pytest.approx(potential.at([near_na + atoms.cell.array[1]])[0], abs=1e-9)


def test_a_slab_and_its_vacuum():
    # Two opposite sheets of charge: the potential differs by what a condenser has.
    atoms = Atoms("OH", [(1.5, 1.5, 4.0), (1.5, 1.5, 6.0)], cell=[3, 3, 10], pbc=[1, 1, 0])
    grid = Grid(atoms.cell.array, (24, 24, 80))
    values = gaussians(grid, atoms, [6.5, 0.5], 2.0)
    potential = ElectrostaticPotential(atoms, grid, values, np.array([6.0, 1.0]))
    below, above = potential.at([[0.3, 0.2, 0.3], [0.3, 0.2, 9.6]])
    jump = 4 * np.pi * COULOMB * 0.5 * 2.0 / 9.0
    assert above - below == pytest.approx(jump, abs=0.01)
    assert above == pytest.approx(-below, abs=0.01)
    chain = Atoms("OH", atoms.positions, cell=atoms.cell, pbc=[0, 0, 1])
    with pytest.raises(ConfigurationError, match="one direction"):
        ElectrostaticPotential(chain, grid, values, np.array([6.0, 1.0]))


def test_potential_and_quadrupole_of_water_are_those_of_pyscf(tmp_path):
    gto = pytest.importorskip("pyscf.gto")
    from pyscf import dft

    atoms = molecule("H2O")
    atoms.rotate(40, (1, 2, 3))
    result = PySCFCalculation().run(atoms, tmp_path)
    grid = Grid.around(atoms, 0.15, 4.0)
    density: Density = result.density.on_grid(grid)
    charges = np.array([6.0, 1.0, 1.0])
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    potential = ElectrostaticPotential(atoms, grid, density.values, charges, tables)
    points = np.concatenate([np.random.default_rng(0).uniform(-3, 3, (20, 3)), OUTSIDE])
    mol = gto.M(
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)),
        basis="gth-dzvp", pseudo="gth-pbe", verbose=0,
    )  # fmt: skip
    mean_field = dft.RKS(mol, xc="pbe").density_fit(auxbasis="def2-universal-jfit")
    mean_field.kernel()
    matrix = mean_field.make_rdm1()
    electronic = np.einsum("pij,ij->p", mol.intor("int1e_grids", grids=points / BOHR), matrix)
    distances = np.linalg.norm(points[:, None] - atoms.positions, axis=-1) / BOHR
    expected = HARTREE * ((charges / distances).sum(axis=1) - electronic)
    np.testing.assert_allclose(potential.at(points), expected, rtol=0, atol=0.01)
    taken = reductions_of(Subject(atoms, density.level, grid, charges))
    for _ in walk(_Stored(density.values), grid, slabs(grid), taken):
        pass
    found = taken.results()["quadrupole"]
    centre = atoms.get_center_of_mass()
    with mol.with_common_orig(centre / BOHR):
        second = np.einsum("xij,ij->x", mol.intor("int1e_rr"), matrix).reshape(3, 3)
    places = (atoms.positions - centre) / BOHR
    moments = np.einsum("a,ai,aj->ij", charges, places, places) - second
    theta = (1.5 * moments - 0.5 * np.trace(moments) * np.eye(3)) * BOHR**2 * 4.80320
    assert found["xz"] == pytest.approx(theta[0, 2], abs=0.01)
    assert found["yy"] == pytest.approx(theta[1, 1], abs=0.01)
    assert found["xx"] + found["yy"] + found["zz"] == pytest.approx(0, abs=1e-9)


class _Stored:
    def __init__(self, values):
        self.values = values

    def box(self, grid, start, stop):
        return self.values[tuple(slice(*span) for span in zip(start, stop, strict=True))]
