"""Densities of orbitals against PySCF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

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
    np.testing.assert_allclose(molecule.values_at(points).numpy(), reference, rtol=0, atol=1e-10)
    single = molecule.values_at(torch.from_numpy(points), dtype=torch.float32)
    assert single.dtype == torch.float32
    assert np.abs(single.numpy() - reference).max() < 1e-6 * reference.max()


def test_many_points_far_apart_come_back_in_order(monkeypatch):
    """A chain of 300 atoms and small chunks: points are sorted inside, and not outside."""
    monkeypatch.setattr("deepdft.fields.orbitals.density._CHUNK", {"cpu": 100})
    shell = contracted_shell(1, [0.4], [1.0])
    positions = np.arange(300)[:, None] * np.array([1.1, 0.3, 0.0])
    chain = Atoms("C300", positions)
    generator = np.random.default_rng(0)
    coefficients = generator.normal(size=(900, 2))
    points = positions[generator.integers(300, size=1000)] + generator.normal(size=(1000, 3))
    density = OrbitalDensity(chain, [(shell,)] * 300, coefficients, [2, 1])
    located = torch.tensor(points, requires_grad=True)
    values = density.values_at(located)
    # A p function of exponent 0.4 / bohr^2 by hand.
    exponent = 0.4 / BOHR**2
    shifts = points[:, None] - positions
    decay = np.exp(-exponent * (shifts**2).sum(axis=-1, keepdims=True))
    functions = (2 * exponent / np.pi) ** 0.75 * 2 * np.sqrt(exponent) * shifts * decay
    orbitals = functions.reshape(1000, 900) @ coefficients
    np.testing.assert_allclose(
        values.detach().numpy(), orbitals**2 @ [2, 1], rtol=0, atol=1e-6 * values.max().item()
    )
    (gradient,) = torch.autograd.grad(values[7], located)
    assert gradient[7].abs().max() > 0
    gradient[7] = 0
    assert not gradient.any()


def test_no_points(molecule):
    assert molecule.values_at(np.empty((0, 3))).shape == (0,)


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
    double = molecule.on_grid(grid, dtype=torch.float64)
    np.testing.assert_allclose(double.values, reference, rtol=0, atol=2e-8)
    assert result.level == molecule.level


def test_slabs_are_parts_of_the_grid(molecule):
    grid = Grid.around(molecule.atoms, 0.5, 2.0)
    whole = molecule.on_grid(grid, dtype=torch.float64).values
    for axis in range(3):
        slab = molecule.slab(grid, axis, 3, 9, dtype=torch.float64)
        np.testing.assert_allclose(slab, np.take(whole, range(3, 9), axis), rtol=0, atol=2e-8)
    with pytest.raises(ConfigurationError, match="outside the grid"):
        molecule.slab(grid, 0, 3, grid.shape[0] + 1)


def test_integral_is_the_number_of_electrons():
    molecule = OrbitalArchive(SAMPLE)[1]
    density = molecule.on_grid(Grid.around(molecule.atoms, 0.16, 4.0))
    assert molecule.n_electrons == 42
    assert density.n_electrons == pytest.approx(42, abs=5e-4)


def test_gradients_also_at_nuclei(molecule):
    points = np.vstack([molecule.atoms.positions[:3], np.random.default_rng(1).normal(size=(4, 3))])
    located = torch.from_numpy(points).requires_grad_()
    values = molecule.values_at(located)
    (gradient,) = torch.autograd.grad(values.sum(), located, create_graph=True)
    (curvature,) = torch.autograd.grad(gradient.sum(), located)
    step = 1e-4
    for axis in range(3):
        shift = np.eye(3)[axis] * step
        forward, backward = (
            pyscf_density(molecule, points + shift),
            pyscf_density(molecule, points - shift),
        )
        np.testing.assert_allclose(
            gradient[:, axis].detach(), (forward - backward) / (2 * step), rtol=0, atol=1e-5
        )
    assert torch.isfinite(curvature).all()
    assert not molecule.values_at(points).requires_grad


def test_spin_density():
    shell = contracted_shell(0, [0.3], [1.0])
    other = contracted_shell(1, [0.5], [1.0])
    atoms = Atoms("He", [[0, 0, 0]])
    density = OrbitalDensity(
        atoms, [(shell, other)], np.eye(4)[:, :3], [1, 1, 1], spin_occupations=[1, -1, 1]
    )
    points = np.random.default_rng(0).normal(size=(10, 3))
    parts = [
        OrbitalDensity(atoms, [(shell, other)], np.eye(4)[:, i : i + 1], 1).values_at(points)
        for i in range(3)
    ]
    torch.testing.assert_close(density.values_at(points), parts[0] + parts[1] + parts[2])
    torch.testing.assert_close(density.spin_at(points), parts[0] - parts[1] + parts[2])
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
    expected = OrbitalDensity(copies, [(shell,)] * 31, np.ones((31, 1)), 2).values_at(points)
    values = OrbitalDensity(chain, [(shell,)], np.ones((1, 1)), 2).values_at(points)
    torch.testing.assert_close(values, expected, rtol=0, atol=1e-8)


def test_spin_of_closed_shells_is_refused(molecule):
    with pytest.raises(ConfigurationError, match="not spin-polarised"):
        molecule.spin_at(np.zeros((1, 3)))


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
        molecule.values_at(points)
    with pytest.raises(ConfigurationError):
        molecule.values_at(torch.from_numpy(points))
