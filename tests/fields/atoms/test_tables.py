"""Superposed atomic densities against brute force and PySCF."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from deepdft.density import Grid
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample.npz"
VALENCE = {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7}


@pytest.fixture(scope="module")
def tables():
    return AtomicDensityTables.load("pbe-gth-dzvp")


def brute_force(tables, atoms, points, reach):
    """Sum over every image of up to `reach` cells, element by element."""
    ranges = [range(-reach, reach + 1) if periodic else (0,) for periodic in atoms.pbc]
    total = np.zeros(len(points))
    for shift in itertools.product(*ranges):
        for symbol, position in zip(atoms.symbols, atoms.positions, strict=True):
            distance = np.linalg.norm(
                points - position - np.array(shift) @ atoms.cell.array, axis=1
            )
            total += tables.radial(symbol, distance)
    return total


@pytest.mark.parametrize("basis", ["gth-dzvp", "dzvp-molopt-sr-gth"])
def test_what_ships(basis):
    tables = AtomicDensityTables.load(f"pbe-{basis}")
    assert tables.elements == tuple(VALENCE)
    assert tables.cutoff == pytest.approx(5.0)
    assert not tables.level.conflicts_with(LevelOfTheory("PBE", "GTH-PBE", basis))
    assert tables_for_level(LevelOfTheory("PBE", "GTH-PBE", basis), [1, 6, 8]) == f"pbe-{basis}"
    for symbol, electrons in VALENCE.items():
        assert tables.electrons(symbol) == pytest.approx(electrons, abs=1e-4)
    assert not tables.knots[:, -1].any()
    assert not tables.knots[:, 0, 1].any(), "a slope at the nucleus would be a cusp"
    assert "make_tables.py" in tables.source


@pytest.mark.parametrize(
    ("name", "name_in_pyscf"),
    [("pbe-gth-dzvp", "gth-dzvp"), ("pbe-dzvp-molopt-sr-gth", "gth-dzvp-molopt-sr")],
)
def test_hydrogen_is_what_pyscf_finds(name, name_in_pyscf):
    tables = AtomicDensityTables.load(name)
    gto = pytest.importorskip("pyscf.gto")
    dft = pytest.importorskip("pyscf.dft")
    atom = gto.M(atom="H", basis=name_in_pyscf, pseudo="gth-pbe", spin=1, verbose=0)
    field = dft.rks.RKS(atom)
    field.xc = "pbe"
    field.get_occ = lambda energies, coefficients=None: np.eye(len(energies))[0]
    field.kernel()
    distances = np.linspace(0, 3.9, 40)
    points = distances[:, None] * np.array([0.6, 0.0, 0.8]) / BOHR
    density = atom.eval_gto("GTOval_sph", points) @ field.mo_coeff[:, 0]
    np.testing.assert_allclose(tables.radial("H", distances), density**2 / BOHR**3, atol=1e-4)


@pytest.mark.parametrize("pbc", [(0, 0, 0), (1, 1, 1), (1, 0, 1), (0, 1, 0)])
def test_periodic_images(tables, pbc):
    cell = np.array([[3.0, 0.2, -0.4], [1.3, 2.7, 0.1], [-0.8, 0.9, 4.2]])
    generator = np.random.default_rng(1)
    atoms = Atoms("CHNO", generator.uniform(-4, 4, (4, 3)), cell=cell, pbc=pbc)
    points = generator.uniform(-7, 7, (300, 3))
    expected = brute_force(tables, atoms, points, 9)
    values = tables.superpose(atoms, points)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-11)
    single = tables.superpose(atoms, points, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=2e-6 * expected.max())


def test_many_atoms_in_many_bins(tables):
    generator = np.random.default_rng(2)
    atoms = Atoms("C3000", generator.uniform(0, 40, (3000, 3)))
    points = generator.uniform(-6, 46, (200, 3))
    np.testing.assert_allclose(
        tables.superpose(atoms, points), brute_force(tables, atoms, points, 0), rtol=0, atol=1e-11
    )


def test_atoms_far_apart_need_little_memory(tables):
    atoms = Atoms("HC", [[0, 0, 0], [1e6, 1e6, 1e6]])
    values = tables.superpose(atoms, np.array([[0.5, 0, 0], [1e6, 1e6, 1e6 + 1], [3e5, 0, 0]]))
    np.testing.assert_allclose(
        values, [tables.radial("H", 0.5), tables.radial("C", 1.0), 0], rtol=1e-9
    )


def test_nothing_to_do(tables):
    assert tables.superpose(molecule("H2O"), np.empty((0, 3))).shape == (0,)
    assert not tables.superpose(Atoms(), np.zeros((2, 3))).any()


def test_given_images_only(tables):
    atoms = Atoms("CO", [[0, 0, 0], [0.9, 0.8, 0.1]], cell=[2.1, 2.3, 2.2], pbc=True)
    points = np.random.default_rng(4).uniform(-2, 2, (50, 3))
    values = tables.superpose_images(atoms.numbers, atoms.positions, points)
    alone = Atoms(atoms.numbers, atoms.positions)
    np.testing.assert_allclose(values, brute_force(tables, alone, points, 0), rtol=0, atol=1e-12)
    with pytest.raises(UnsupportedStructureError, match="Fe"):
        tables.superpose_images(np.array([26]), np.zeros((1, 3)), points)


def test_grid_and_slabs(tables):
    atoms = molecule("CH3CH2OH")
    grid = Grid.around(atoms, 0.2, 4.0)
    density = tables.on_grid(atoms, grid, dtype=np.float64)
    expected = tables.superpose(atoms, grid.points().reshape(-1, 3)).reshape(grid.shape)
    np.testing.assert_allclose(density.values, expected, rtol=0, atol=1e-13)
    assert density.n_electrons == pytest.approx(20, abs=0.02)
    assert density.level == tables.level
    for axis in range(3):
        slab = tables.slab(atoms, grid, axis, 5, 8)
        assert slab.dtype == np.float32
        np.testing.assert_allclose(slab, np.take(expected, range(5, 8), axis), rtol=0, atol=1e-5)
    with pytest.raises(ConfigurationError, match="outside the grid"):
        tables.slab(atoms, grid, 0, -1, 3)


def test_electrons_of_a_crystal(tables):
    atoms = Atoms("CO", [[0, 0, 0], [0.9, 0.8, 0.1]], cell=[2.1, 2.3, 2.2], pbc=True)
    density = tables.on_grid(atoms, Grid.of_cell(atoms, 0.08))
    assert density.n_electrons == pytest.approx(10, abs=1e-3)


def test_close_to_real_densities(tables):
    density = OrbitalArchive(SAMPLE)[1]
    grid = Grid.around(density.atoms, 0.25, 4.0)
    comparison = density.on_grid(grid).compare(tables.on_grid(density.atoms, grid))
    assert 0.05 < comparison.eps_mae < 0.25


@pytest.mark.parametrize("pbc", [False, True])
def test_torch_agrees_and_is_twice_differentiable(tables, pbc):
    atoms = Atoms(
        "CON", [[0, 0, 0], [1.1, 0.2, 0], [0.3, -1.2, 0.5]], cell=np.eye(3) * 3.5, pbc=pbc
    )
    generator = np.random.default_rng(3)
    points = np.vstack([atoms.positions, generator.uniform(-5, 5, (20, 3))])
    located = torch.tensor(points, requires_grad=True)
    values = tables.superpose_differentiable(atoms, located)
    expected = tables.superpose(atoms, points)
    np.testing.assert_allclose(values.detach().numpy(), expected, rtol=0, atol=1e-11)
    (gradient,) = torch.autograd.grad(values.sum(), located, create_graph=True)
    step = 1e-3
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        forward, backward = (tables.superpose(atoms, points + sign * shift) for sign in (1, -1))
        slope = (forward - backward) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis].detach(), slope, rtol=0, atol=3e-4)
        (second,) = torch.autograd.grad(gradient[:, axis].sum(), located, retain_graph=True)
        curvature = (forward - 2 * expected + backward) / step**2
        np.testing.assert_allclose(second[:, axis], curvature, rtol=0, atol=3e-2)


def test_missing_elements_are_named(tables):
    with pytest.raises(UnsupportedStructureError, match="Fe, Xe"):
        tables.superpose(Atoms("HXeFe", np.zeros((3, 3))), np.zeros((1, 3)))


def test_written_tables_are_read_back(tables, tmp_path):
    tables.save(tmp_path / "mine.npz")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npz"]
    again = AtomicDensityTables.load(tmp_path / "mine.npz")
    assert np.array_equal(again.knots, tables.knots)
    assert (again.elements, again.spacing, again.level) == (
        tables.elements,
        tables.spacing,
        tables.level,
    )


def test_unreadable_tables_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="Did you mean 'pbe-gth-dzvp'"):
        AtomicDensityTables.load("pbe-gth")
    (tmp_path / "text.npz").write_text("no tables")
    with pytest.raises(FileFormatError, match="does not hold"):
        AtomicDensityTables.load(tmp_path / "text.npz")
    np.savez(tmp_path / "other.npz", knots=np.zeros((1, 3, 3)))
    with pytest.raises(FileFormatError, match="does not hold"):
        AtomicDensityTables.load(tmp_path / "other.npz")


def test_tables_that_do_not_vanish_are_refused():
    with pytest.raises(ConfigurationError, match="vanish"):
        AtomicDensityTables(("H",), np.ones((1, 4, 3)), 0.1)
