"""The probe engine: blocks, grids, lists of points and threads change nothing but the speed."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.geometry.blocks import block_shape
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.networks import forward, small_network
from deepdft.testing.structures import ELEMENTS, ethanol, points_near, sodium_chloride, triclinic

SKEWED = np.array([[7.0, 0.3, -0.2], [-1.1, 6.5, 0.4], [0.6, -0.9, 8.2]])
PRECISIONS = [(torch.float64, 1e-12), (torch.float32, 3e-6)]


def engine_for(atoms, dtype=torch.float64, threads=1, **options):
    return ProbeEngine(small_network("deepdft", dtype, **options), None, atoms, threads)


@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
@pytest.mark.parametrize("make", [ethanol, triclinic])
def test_lists_grids_and_single_points_agree(make, dtype, tolerance):
    atoms = make()
    engine = engine_for(atoms, dtype)
    grid = Grid(SKEWED, (11, 9, 14), atoms.positions[0] - 4.0)
    whole = engine.box(grid, (0, 0, 0), grid.shape)
    assert whole.dtype == np.float64
    assert whole.shape == grid.shape
    scale = np.abs(whole).max()
    points = grid.points()

    def same(found, expected):
        np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)

    same(engine.at(points.reshape(-1, 3)).reshape(grid.shape), whole)
    expected = (
        forward(small_network("deepdft", dtype), atoms, points.reshape(-1, 3)).detach().numpy()
    )
    same(expected.reshape(grid.shape), whole)
    for start, stop in [((3, 2, 5), (4, 3, 6)), ((0, 8, 0), (11, 9, 14)), ((5, 1, 2), (9, 9, 9))]:
        place = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        same(engine.box(grid, start, stop), whole[place])
    for i, j, k in [(0, 0, 0), (10, 8, 13), (4, 4, 7)]:
        same(engine.at(points[i, j, k][None]), whole[i, j, k])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_number_of_threads_changes_nothing(dtype):
    atoms = sodium_chloride()
    network = small_network("deepdft", dtype)
    grid = Grid.of_cell(atoms, 0.3)
    points = points_near(atoms, 4000)
    results = [
        (engine.box(grid, (0, 0, 0), grid.shape), engine.at(points))
        for engine in (ProbeEngine(network, None, atoms, threads) for threads in (1, 2, 5))
    ]
    for on_grid, at_points in results[1:]:
        assert np.array_equal(on_grid, results[0][0])
        assert np.array_equal(at_points, results[0][1])


def test_a_grid_of_the_cell_is_periodic():
    atoms = triclinic()
    engine = engine_for(atoms)
    once = Grid(np.asarray(atoms.cell), (4, 3, 5))
    twice = Grid(np.asarray(atoms.cell) * 2, (8, 6, 10))
    values = engine.box(once, (0, 0, 0), once.shape)
    repeated = engine.box(twice, (0, 0, 0), twice.shape)
    np.testing.assert_allclose(repeated, np.tile(values, (2, 2, 2)), rtol=0, atol=1e-9)
    assert np.ptp(values) > 0.05


def test_points_far_from_all_atoms_are_exactly_zero():
    atoms = ethanol()
    engine = engine_for(atoms)
    grid = Grid(np.diag([60.0, 60.0, 60.0]), (30, 30, 30), np.full(3, -30.0))
    values = engine.box(grid, (0, 0, 0), grid.shape)
    gap = np.linalg.norm(grid.points()[..., None, :] - atoms.positions, axis=-1).min(axis=-1)
    assert np.array_equal(values != 0, gap < engine.network.cutoff)
    assert not engine.at(points_near(atoms, 10) + 100.0).any()
    away = Grid(np.eye(3), (2, 2, 2), np.full(3, 90.0))
    assert not engine.box(away, (0, 0, 0), (2, 2, 2)).any()


@pytest.mark.parametrize("architecture", ["released-painn", "released-schnet"])
@pytest.mark.parametrize(("dtype", "tolerance"), PRECISIONS)
def test_a_constant_fills_what_no_atom_reaches(architecture, dtype, tolerance):
    atoms = ethanol()
    network = small_network(architecture, dtype)
    far = np.array([[1e3, 0.0, 0.0]])
    constant = forward(network, atoms, far).item()
    assert constant != 0.0
    plain = ProbeEngine(network, None, atoms, 2)
    # Some blocks have atoms for all of their points, some for a few and most for none.
    grid = Grid(np.diag([30.0, 30.0, 30.0]), (18, 18, 18), np.full(3, -15.0))
    points = grid.points().reshape(-1, 3)
    values = plain.box(grid, (0, 0, 0), grid.shape).ravel()
    np.testing.assert_allclose(values, forward(network, atoms, points).detach(), 0, tolerance)
    gap = np.linalg.norm(points[:, None] - atoms.positions, axis=-1).min(axis=-1)
    away = gap >= network.cutoff
    assert 0 < away.sum() < len(points)
    np.testing.assert_allclose(values[away], constant, rtol=0, atol=tolerance)
    assert np.ptp(values[~away]) > 1e-2
    np.testing.assert_allclose(plain.at(points), values, rtol=0, atol=tolerance)
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    corrected = ProbeEngine(network, tables, atoms, 1)
    expected = values + SuperposedAtoms(tables, atoms).at(points)
    for found in (corrected.at(points), corrected.box(grid, (0, 0, 0), grid.shape)):
        np.testing.assert_allclose(found.ravel(), expected, rtol=0, atol=1e-9 + tolerance)
    outside = Grid(np.eye(3), (2, 2, 2), np.full(3, 900.0))
    np.testing.assert_allclose(
        corrected.box(outside, (0, 0, 0), (2, 2, 2)), constant, rtol=0, atol=tolerance
    )


def test_points_far_apart():
    atoms = ethanol()
    engine = engine_for(atoms)
    points = points_near(atoms, 5)
    far = np.concatenate((points[:2], [[1e6, -1e6, 1e6]], points[2:]))
    np.testing.assert_allclose(np.delete(engine.at(far), 2), engine.at(points), rtol=0, atol=1e-12)


def test_points_of_a_crystal_far_apart():
    # Equivalent points many cells apart, in one list.
    atoms = triclinic()
    engine = engine_for(atoms)
    points = points_near(atoms, 6)
    shifts = np.array([[0, 0, 0], [20, 0, 0], [0, -15, 0], [0, 0, 10], [9, 9, 9], [-9, 8, 7]])
    found = engine.at(points + shifts @ np.asarray(atoms.cell))
    np.testing.assert_allclose(found, engine.at(points), rtol=0, atol=1e-9)


def test_no_points_at_all():
    engine = engine_for(ethanol())
    assert engine.at(np.zeros((0, 3))).shape == (0,)
    grid = Grid(np.eye(3), (2, 2, 2))
    assert engine.box(grid, (1, 1, 1), (1, 2, 2)).shape == (0, 1, 1)


def test_points_have_to_be_points():
    engine = engine_for(ethanol())
    with pytest.raises(ConfigurationError, match=r"\(n, 3\)"):
        engine.at(np.zeros(3))
    with pytest.raises(ConfigurationError, match="not finite"):
        engine.at([[0.0, 0.0, np.inf]])


def test_a_single_atom_gives_a_spherical_density():
    engine = engine_for(Atoms("O", [[1.0, 2.0, 3.0]]))
    directions = np.random.default_rng(0).standard_normal((20, 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    for radius in (0.0, 0.7, 3.9):
        values = engine.at(np.array([1.0, 2.0, 3.0]) + radius * directions)
        np.testing.assert_allclose(values, values[0], rtol=0, atol=1e-12)
        assert values[0] != 0.0


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-9), (torch.float32, 2e-5)])
def test_the_atomic_baseline_is_added(dtype, tolerance):
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    atoms = ethanol()
    network = small_network("deepdft", dtype, cutoff=3.0)
    assert tables.cutoff > network.cutoff
    plain = ProbeEngine(network, None, atoms, 1)
    corrected = ProbeEngine(network, tables, atoms, 1)
    points = points_near(atoms, 700, spread=2.5)
    # Between the reach of the network and that of the tables the latter are alone.
    direction = atoms.positions[0] - atoms.positions.mean(axis=0)
    direction /= np.linalg.norm(direction)
    between = 0.5 * (network.cutoff + tables.cutoff)
    edge = max(atoms.positions @ direction)
    points[0] = direction * (edge + network.cutoff + 0.01)
    assert between > network.cutoff
    superposed = SuperposedAtoms(tables, atoms).at(points)
    assert plain.at(points[:1])[0] == 0.0
    assert superposed[0] > 0.0
    found = corrected.at(points)
    np.testing.assert_allclose(
        found, plain.at(points) + superposed, rtol=0, atol=tolerance * superposed.max()
    )
    grid = Grid(SKEWED, (8, 7, 9), atoms.positions[0] - 4.0)
    np.testing.assert_allclose(
        corrected.box(grid, (0, 0, 0), grid.shape).ravel(),
        corrected.at(grid.points().reshape(-1, 3)),
        rtol=0,
        atol=tolerance * superposed.max(),
    )


def test_the_baseline_of_a_crystal_includes_its_images():
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    atoms = triclinic()
    network = small_network("deepdft")
    points = points_near(atoms, 30)
    added = (
        ProbeEngine(network, tables, atoms, 1).at(points)
        - ProbeEngine(network, None, atoms, 1).at(points)
    )  # fmt: skip
    np.testing.assert_allclose(added, SuperposedAtoms(tables, atoms).at(points), rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_memory_depends_on_the_block(dtype):
    # What is held beyond the result is the same for eight times the points, but for the places of
    # the blocks, some 250 bytes each.
    engine = engine_for(ethanol(), dtype)
    used = []
    for n in (20, 40):
        grid = Grid(np.eye(3) * 5, (n, n, n), -2.5 * np.ones(3))
        engine.box(grid, (0, 0, 0), (2, 2, 2))
        tracemalloc.start()
        result = engine.box(grid, (0, 0, 0), grid.shape)
        used.append(tracemalloc.get_traced_memory()[1] - result.nbytes)
        tracemalloc.stop()
    more_blocks = (40**3 - 20**3) / engine.block_size
    assert used[1] < 1.5 * used[0] + 100_000 + 250 * more_blocks


def test_failures_in_threads_are_reported(monkeypatch):
    engine = engine_for(ethanol(), threads=2)

    def fail(*_):
        raise MemoryError("not enough")

    monkeypatch.setattr(engine, "_density", fail)
    with pytest.raises(MemoryError, match="not enough"):
        engine.at(points_near(ethanol(), 3000))


def test_torch_keeps_its_threads():
    torch.set_num_threads(2)
    try:
        engine_for(ethanol(), threads=3).at(points_near(ethanol(), 2000))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


def test_the_structure_is_checked():
    with pytest.raises(UnsupportedStructureError, match="does not know Xe"):
        engine_for(Atoms("Xe"))
    with pytest.raises(UnsupportedStructureError, match="no atoms"):
        engine_for(Atoms())
    assert 54 not in ELEMENTS


def test_blocks_are_about_as_long_as_wide():
    grid = Grid(np.diag([20.0, 20.0, 20.0]), (200, 200, 200))
    assert block_shape(grid, 512) == (8, 8, 8)
    uneven = Grid(np.diag([20.0, 20.0, 20.0]), (200, 100, 50))
    nx, ny, nz = block_shape(uneven, 512)
    assert 300 < nx * ny * nz < 800
    lengths = np.array([nx, ny, nz]) * [0.1, 0.2, 0.4]
    assert lengths.max() < 1.5 * lengths.min()
    for shape in [(3, 200, 200), (1, 1, 7), (500, 1, 1)]:
        block = block_shape(Grid(np.eye(3), shape), 512)
        assert all(1 <= b <= n for b, n in zip(block, shape, strict=True))
