"""Superposed atomic densities against brute force and PySCF."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.density import Grid
from deepdft.errors import ConfigurationError, FileFormatError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.fields.orbitals import OrbitalArchive
from deepdft.fields.walk import density_on, slabs
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample.npz"
VALENCE = {
    "dzvp-molopt-sr-gth": {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7},
    "gth-dzvp": {
        "H": 1, "Li": 3, "B": 3, "C": 4, "N": 5, "O": 6, "F": 7, "Na": 9, "Mg": 10, "Al": 3,
        "Si": 4, "P": 5, "S": 6, "Cl": 7, "K": 9, "Ca": 10, "Zn": 12, "Br": 7, "I": 7,
    },
}  # fmt: skip


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
    assert tables.elements == tuple(VALENCE[basis])
    assert tables.cutoff == pytest.approx(5.0)
    assert not tables.level.conflicts_with(LevelOfTheory("PBE", "GTH-PBE", basis))
    assert tables_for_level(LevelOfTheory("PBE", "GTH-PBE", basis), [1, 6, 8]) == f"pbe-{basis}"
    for symbol, electrons in VALENCE[basis].items():
        # Diffuse atoms lose a little where the tables end.
        lost = 1e-4 if symbol in "HCNOF" else 8e-3
        assert tables.electrons(symbol) == pytest.approx(electrons, abs=lost)
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
    values = SuperposedAtoms(tables, atoms).at(points)
    assert values.dtype == np.float64
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-11)


def test_many_atoms_in_many_bins(tables):
    generator = np.random.default_rng(2)
    atoms = Atoms("C3000", generator.uniform(0, 40, (3000, 3)))
    points = generator.uniform(-6, 46, (200, 3))
    np.testing.assert_allclose(
        SuperposedAtoms(tables, atoms).at(points),
        brute_force(tables, atoms, points, 0),
        rtol=0,
        atol=1e-11,
    )


def test_atoms_far_apart_need_little_memory(tables):
    atoms = Atoms("HC", [[0, 0, 0], [1e6, 1e6, 1e6]])
    values = SuperposedAtoms(tables, atoms).at(
        np.array([[0.5, 0, 0], [1e6, 1e6, 1e6 + 1], [3e5, 0, 0]])
    )
    np.testing.assert_allclose(
        values, [tables.radial("H", 0.5), tables.radial("C", 1.0), 0], rtol=1e-9
    )


def test_nothing_to_do(tables):
    assert SuperposedAtoms(tables, molecule("H2O")).at(np.empty((0, 3))).shape == (0,)
    assert not SuperposedAtoms(tables, Atoms()).at(np.zeros((2, 3))).any()


def test_grid_and_slabs(tables):
    atoms = molecule("CH3CH2OH")
    grid = Grid.around(atoms, 0.2, 4.0)
    density = density_on(SuperposedAtoms(tables, atoms), grid)
    expected = SuperposedAtoms(tables, atoms).at(grid.points().reshape(-1, 3)).reshape(grid.shape)
    np.testing.assert_allclose(density.values, expected, rtol=0, atol=1e-13)
    assert density.n_electrons == pytest.approx(20, abs=0.02)
    assert density.level == tables.level
    for axis in range(3):
        for start, stop in slabs(grid, axis, 4000):
            place = tuple(slice(*span) for span in zip(start, stop, strict=True))
            part = SuperposedAtoms(tables, atoms).box(grid, start, stop)
            np.testing.assert_allclose(part, expected[place], rtol=0, atol=1e-13)


def test_electrons_of_a_crystal(tables):
    atoms = Atoms("CO", [[0, 0, 0], [0.9, 0.8, 0.1]], cell=[2.1, 2.3, 2.2], pbc=True)
    density = density_on(SuperposedAtoms(tables, atoms), Grid.of_cell(atoms, 0.08))
    assert density.n_electrons == pytest.approx(10, abs=1e-3)


def test_close_to_real_densities(tables):
    density = OrbitalArchive(SAMPLE)[1]
    grid = Grid.around(density.atoms, 0.25, 4.0)
    comparison = density.on_grid(grid).compare(
        density_on(SuperposedAtoms(tables, density.atoms), grid)
    )
    assert 0.05 < comparison.eps_mae < 0.25


@pytest.mark.parametrize("pbc", [False, True])
def test_derivatives_are_those_of_the_values(tables, pbc):
    atoms = Atoms(
        "CON", [[0, 0, 0], [1.1, 0.2, 0], [0.3, -1.2, 0.5]], cell=np.eye(3) * 3.5, pbc=pbc
    )
    field = SuperposedAtoms(tables, atoms)
    points = np.vstack([atoms.positions, np.random.default_rng(3).uniform(-5, 5, (20, 3))])
    value, gradient, hessian = field.at(points, order=2)
    np.testing.assert_allclose(value, field.at(points), rtol=0, atol=1e-12)
    assert np.array_equal(field.at(points, order=1).gradient, gradient)
    step = 1e-3
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        (_, forward, _), (_, backward, _) = (
            field.at(points + sign * shift, order=1) for sign in (1, -1)
        )
        np.testing.assert_allclose(
            hessian[:, axis], (forward - backward) / (2 * step), rtol=1e-4, atol=3e-2
        )
        slope = (field.at(points + shift) - field.at(points - shift)) / (2 * step)
        np.testing.assert_allclose(gradient[:, axis], slope, rtol=0, atol=3e-4)


def test_amplitudes_multiply_values_and_derivatives(tables):
    atoms = molecule("H2O")
    field = SuperposedAtoms(tables, atoms, np.array([2.0, 0.0, -0.5]))
    alone = [SuperposedAtoms(tables, atoms[[number]]) for number in range(3)]
    points = atoms.positions + 0.1
    found, parts = field.at(points, order=2), [one.at(points, order=2) for one in alone]
    for values, oxygen, _, hydrogen in zip(found, *parts, strict=True):
        np.testing.assert_allclose(values, 2.0 * oxygen - 0.5 * hydrogen, rtol=0, atol=1e-12)
    np.testing.assert_allclose(field.at(points), found.value, rtol=0, atol=1e-12)


def test_missing_elements_are_named(tables):
    with pytest.raises(UnsupportedStructureError, match="Fe, Xe"):
        SuperposedAtoms(tables, Atoms("HXeFe", np.zeros((3, 3))))


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
