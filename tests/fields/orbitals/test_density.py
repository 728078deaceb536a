"""Densities of orbitals against PySCF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.orbitals import OrbitalArchive, OrbitalDensity, contracted_shell
from deepdft.units import BOHR

gto = pytest.importorskip("pyscf.gto")
numint = pytest.importorskip("pyscf.dft.numint")

SAMPLE = Path(__file__).parents[2] / "data" / "qm9_sample.npz"


@pytest.fixture(scope="module")
def molecule():
    return OrbitalArchive(SAMPLE)[2]


def pyscf_density(density, points):
    """Density at points (Å) from PySCF, e/Å^3."""
    atoms = density.atoms
    mol = gto.M(
        atom=[(s, p / BOHR) for s, p in zip(atoms.symbols, atoms.positions, strict=True)],
        unit="bohr",
        basis="gth-dzvp",
        pseudo="gth-pbe",
        verbose=0,
    )
    functions = numint.eval_ao(mol, np.reshape(points, (-1, 3)) / BOHR)
    rho = numint.eval_rho2(mol, functions, density.coefficients.astype(float), density.occupations)
    return rho.reshape(np.shape(points)[:-1]) / BOHR**3


def test_scattered_points(molecule):
    generator = np.random.default_rng(0)
    points = generator.uniform(-6, 6, (5000, 3))
    reference = pyscf_density(molecule, points)
    assert reference.max() > 0.5
    np.testing.assert_allclose(molecule.at(points), reference, rtol=0, atol=1e-8)
    single = molecule.at(points, dtype=np.float32)
    assert single.dtype == np.float32
    assert np.abs(single - reference).max() < 1e-6 * reference.max()


def test_many_points_far_apart_come_back_in_order():
    """A chain of 300 atoms: points are sorted inside, and not outside."""
    shell = contracted_shell(1, [0.4], [1.0])
    positions = np.arange(300)[:, None] * np.array([1.1, 0.3, 0.0])
    chain = Atoms("C300", positions)
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=(900, 2))
    points = positions[generator.integers(300, size=1000)] + generator.normal(size=(1000, 3))
    density = OrbitalDensity(chain, [(shell,)] * 300, coefficients, [2, 1])
    # A p function of exponent 0.4 / bohr^2 by hand.
    exponent = 0.4 / BOHR**2
    shifts = points[:, None] - positions
    decay = np.exp(-exponent * (shifts**2).sum(axis=-1, keepdims=True))
    functions = (2 * exponent / np.pi) ** 0.75 * 2 * np.sqrt(exponent) * shifts * decay
    orbitals = functions.reshape(1000, 900) @ coefficients
    expected = orbitals**2 @ [2, 1]
    np.testing.assert_allclose(density.at(points), expected, rtol=0, atol=1e-8 * expected.max())
    assert np.array_equal(density.at(points, threads=3), density.at(points))


def test_no_points(molecule):
    assert molecule.at(np.empty((0, 3))).shape == (0,)
    assert molecule.at(np.empty((0, 3)), 2).hessian.shape == (0, 3, 3)
    assert (molecule.at([[900.0, 0, 0], [0, 1e9, 0]]) == 0).all()


@pytest.mark.parametrize("sheared", [False, True])
def test_grid_agrees_with_pyscf(molecule, sheared):
    grid = Grid.around(molecule.atoms, 0.35, 3.0)
    if sheared:
        shear = np.array([[1, 0.2, 0.1], [0, 1, 0.3], [0.1, 0, 1]])
        grid = Grid(grid.cell @ shear, grid.shape, grid.origin)
    reference = pyscf_density(molecule, grid.points())
    result = molecule.on_grid(grid)
    assert result.values.dtype == np.float32
    assert np.abs(result.values - reference).max() < 1e-6 * reference.max()
    double = molecule.on_grid(grid, dtype=np.float64)
    np.testing.assert_allclose(double.values, reference, rtol=0, atol=1e-8)
    assert result.level == molecule.level


@pytest.mark.parametrize("voxel", ["cubic", "hexagonal", "turned", "sheared"])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_boxes_are_parts_of_the_grid(molecule, voxel, order):
    cells = {
        "cubic": np.eye(3),
        "hexagonal": np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1.1]]),
        "turned": Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix() * [[0.9], [1.0], [1.2]],
        "sheared": np.array([[1, 0.2, 0.1], [0, 1, 0.3], [0.1, 0, 1]]),
    }
    grid = Grid(8 * cells[voxel], (17, 19, 23), np.full(3, -4.0))
    for start, stop in (
        ((0, 0, 0), grid.shape), ((3, 0, 0), (4, 19, 23)), ((0, 5, 0), (17, 6, 23)),
        ((2, 3, 11), (9, 18, 12)), ((4, 4, 4), (4, 9, 9)),
    ):  # fmt: skip
        points = grid.points(start, stop)
        expected = molecule.at(points.reshape(-1, 3), order)
        found = molecule.box(grid, start, stop, order)
        pairs = zip(found, expected, strict=True) if order else [(found, expected)]
        for part, whole in pairs:
            if part is None or whole is None:
                assert part is whole is None
                continue
            assert part.shape == (*points.shape[:3], *whole.shape[1:])
            np.testing.assert_allclose(part.reshape(whole.shape), whole, rtol=0, atol=3e-8)
    with pytest.raises(ConfigurationError, match="outside the grid"):
        molecule.box(grid, (3, 0, 0), (18, 1, 1))
    with pytest.raises(ConfigurationError, match="order"):
        molecule.box(grid, (3, 0, 0), (4, 1, 1), 3)


def test_integral_is_the_number_of_electrons():
    molecule = OrbitalArchive(SAMPLE)[1]
    density = molecule.on_grid(Grid.around(molecule.atoms, 0.16, 4.0))
    assert molecule.n_electrons == 42
    assert density.n_electrons == pytest.approx(42, abs=5e-4)


@pytest.mark.parametrize("cartesian", [False, True])
def test_derivatives_also_at_nuclei(cartesian):
    """Functions s to i: gradients and Hessians against differences of values and of gradients."""
    shells = [
        contracted_shell(m, [0.9, 0.3], [[1.0, 0.2], [0.4, 1.0]], cartesian=cartesian)
        for m in range(7)
    ]
    atoms = Atoms("CO", [[0, 0, 0], [0.4, -0.3, 1.1]])
    count = 2 * sum(shell.n_functions for shell in shells)
    coefficients = 0.2 * np.random.default_rng(0).normal(size=(count, 2))
    density = OrbitalDensity(atoms, [tuple(shells)] * 2, coefficients, [2, 1])
    points = np.vstack([atoms.positions, np.random.default_rng(1).normal(size=(5, 3))])
    found = density.at(points, 2)
    np.testing.assert_allclose(found.value, density.at(points), rtol=1e-12)
    first_order = density.at(points, 1)
    assert first_order.hessian is None
    np.testing.assert_allclose(first_order.gradient, found.gradient, rtol=1e-9, atol=1e-9)
    scale = np.abs(found.hessian).max()
    step = 1e-4
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        above, below = density.at(points + shift, 1), density.at(points - shift, 1)
        slope = (above.value - below.value) / (2 * step)
        np.testing.assert_allclose(found.gradient[:, axis], slope, rtol=0, atol=1e-6 * scale)
        bend = (above.gradient - below.gradient) / (2 * step)
        np.testing.assert_allclose(found.hessian[:, axis], bend, rtol=0, atol=1e-6 * scale)
    single = density.at(points, 2, dtype=np.float32)
    for part, exact in zip(single, found, strict=True):
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, exact, rtol=0, atol=2e-5 * np.abs(exact).max())


def test_spin_density():
    shell = contracted_shell(0, [0.3], [1.0])
    other = contracted_shell(1, [0.5], [1.0])
    atoms = Atoms("He", [[0, 0, 0]])
    density = OrbitalDensity(
        atoms, [(shell, other)], np.eye(4)[:, :3], [1, 1, 1], spin_occupations=[1, -1, 1]
    )
    points = np.random.default_rng(0).normal(size=(10, 3))
    parts = [
        OrbitalDensity(atoms, [(shell, other)], np.eye(4)[:, i : i + 1], 1).at(points)
        for i in range(3)
    ]
    np.testing.assert_allclose(density.at(points), parts[0] + parts[1] + parts[2])
    np.testing.assert_allclose(density.spin.at(points), parts[0] - parts[1] + parts[2])
    grid = Grid(np.eye(3) * 20, (60, 60, 60), np.full(3, -10.0))
    on_grid = density.on_grid(grid)
    assert on_grid.total_spin == pytest.approx(1, abs=1e-4)
    assert on_grid.n_electrons == pytest.approx(3, abs=1e-4)


def test_periodic_images_are_summed():
    shell = contracted_shell(0, [0.3], [1.0])
    cell = np.array([[2.0, 0.1, 0], [0, 2.5, 0.2], [0, 0, 0]])
    chain = Atoms("H", [[0.3, 0.2, 0.1]], cell=cell, pbc=(True, False, False))
    points = np.random.default_rng(0).normal(size=(20, 3))
    copies = Atoms("H31", chain.positions + np.arange(-15, 16)[:, None] * cell[0])
    expected = OrbitalDensity(copies, [(shell,)] * 31, np.ones((31, 1)), 2).at(points)
    values = OrbitalDensity(chain, [(shell,)], np.ones((1, 1)), 2).at(points)
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-8)


def test_spin_of_closed_shells_is_refused(molecule):
    with pytest.raises(ConfigurationError, match="not spin-polarised"):
        molecule.spin.at(np.zeros((1, 3)))


@pytest.mark.parametrize(
    ("coefficients", "occupations", "message"),
    [
        (np.ones((4, 1)), 2.0, "5 functions"),
        (np.ones((5, 2)), [2.0], "Occupations"),
        (np.full((5, 2), np.nan), 2.0, "not finite"),
    ],
)
def test_what_does_not_fit_is_refused(coefficients, occupations, message):
    with pytest.raises(ConfigurationError, match=message):
        OrbitalDensity(Atoms("H"), "gth-dzvp", coefficients, occupations)


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.array([[0, 0, np.inf]])])
def test_unusable_points_are_refused(molecule, points):
    with pytest.raises(ConfigurationError):
        molecule.at(points)
