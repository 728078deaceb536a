"""Random probes of datasets: never out of reach, unbiased, a function of the generator's state."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.data.grid_dataset import GridDataset
from deepdft.data.orbital_dataset import OrbitalDataset
from deepdft.density import Density, Grid
from deepdft.errors import UnsupportedStructureError
from deepdft.fields.orbitals import OrbitalDensity, write_orbital_archive
from deepdft.fields.orbitals.overlap import overlap_matrix
from deepdft.levels import LevelOfTheory
from tests.small_data import gaussian_density, orbital_density, write_archive

CUTOFF = 3.0
EXPECTED = {
    False: [200, -75.204485607435, 197.25242472452868],
    True: [200, 1165.2817806184808, 199.1923443770271],
}
"""Number of points, sum of their coordinates and of their weights of two draws."""
SKEWED = np.array([[11.0, 1.0, -0.5], [-2.0, 12.0, 0.4], [0.6, -1.5, 10.0]])


def distance_to_nearest(atoms, points):
    """Distance of points (n, 3) to the nearest atom or image, Å."""
    ranges = [(-1, 0, 1) if p else (0,) for p in atoms.pbc]
    nearest = np.full(len(points), np.inf)
    for i in ranges[0]:
        for j in ranges[1]:
            for k in ranges[2]:
                images = atoms.positions + np.array([i, j, k]) @ np.asarray(atoms.cell)
                gaps = np.linalg.norm(points[:, None] - images[None], axis=2)
                nearest = np.minimum(nearest, gaps.min(axis=1))
    return nearest


@pytest.fixture(scope="module")
def grid_data():
    """A molecule in a large skewed box, most of which is vacuum, and a crystal."""
    water = molecule("H2O", cell=SKEWED, pbc=True)
    water.positions += [3.0, 5.0, 4.0]
    dense = Atoms("HF", [[0, 0, 0], [1.4, 1.5, 1.2]], cell=np.eye(3) * 3.0, pbc=True)
    densities = {
        "water": gaussian_density(water, Grid(SKEWED, (22, 24, 20))),
        "dense": gaussian_density(dense, Grid(np.eye(3) * 3.0, (6, 6, 6))),
    }
    return GridDataset(list(densities), read=lambda path: densities[path])


@pytest.fixture(scope="module")
def orbital_data(tmp_path_factory):
    return OrbitalDataset(write_archive(tmp_path_factory.mktemp("data") / "a.npz", ["H2O", "H2"]))


@pytest.fixture(scope="module")
def periodic_orbital_data(tmp_path_factory):
    """A skewed cell that every point of is in reach of an atom."""
    cell = np.array([[4.0, 0, 0], [1.0, 3.5, 0], [-0.5, 0.4, 4.2]])
    atoms = Atoms("OH", [[3.6, 0.2, 0.3], [3.9, 0.9, 0.8]], cell=cell, pbc=True)
    level = LevelOfTheory("PBE", "GTH-PBE", "dzvp-molopt-sr-gth", "CP2K 2023.1")
    coefficients = 0.3 * np.random.default_rng(0).standard_normal((18, 4))
    path = tmp_path_factory.mktemp("data") / "a.npz"
    density = OrbitalDensity(atoms, level.basis, coefficients, level=level)
    write_orbital_archive(path, [density], [4], names=["cell"])
    return OrbitalDataset(path)


def functions(centre):
    """Smooth functions of position whose means are compared."""
    return {
        "one": lambda r: np.ones(len(r)),
        "near": lambda r: np.exp(-0.5 * ((r - centre) ** 2).sum(axis=1)),
        "plane": lambda r: (r - centre)[:, 0],
        "far": lambda r: ((r - centre) ** 2).sum(axis=1),
    }


def assert_unbiased(dataset, exact_points, importance, draws=150, probes=400):
    """The weighted means of draws scatter around the mean over all points in reach."""
    atoms = dataset.atoms(0)
    generator = np.random.default_rng(7)
    batches = [
        dataset.draw(0, probes, generator, cutoff=CUTOFF, importance=importance)
        for _ in range(draws)
    ]
    for name, function in functions(atoms.positions[0]).items():
        exact = function(exact_points).mean()
        means = np.array([(b.weights * function(b.points)).mean() for b in batches])
        error = means.std(ddof=1) / np.sqrt(draws)
        scale = np.abs(function(exact_points)).mean()
        assert error < 0.025 * scale, name
        assert abs(means.mean() - exact) < 4 * error + 2e-3 * scale, (name, means.mean(), exact)


@pytest.mark.parametrize("importance", [0.0, 0.5, 0.9])
def test_draws_from_grids_are_unbiased(grid_data, importance):
    density = grid_data.density(0)
    points = density.grid.points().reshape(-1, 3)
    inside = points[distance_to_nearest(density.atoms, points) < CUTOFF]
    assert 0.05 < len(inside) / len(points) < 0.3
    assert_unbiased(grid_data, inside, importance)


@pytest.mark.parametrize("importance", [0.0, 0.5])
def test_draws_from_orbitals_are_unbiased(orbital_data, importance):
    atoms = orbital_data.atoms(0)
    points = Grid.around(atoms, 0.12, CUTOFF).points().reshape(-1, 3)
    inside = points[distance_to_nearest(atoms, points) < CUTOFF]
    assert_unbiased(orbital_data, inside, importance)


@pytest.mark.parametrize("importance", [0.0, 0.5])
def test_draws_from_periodic_orbitals_are_unbiased(periodic_orbital_data, importance):
    data = periodic_orbital_data
    assert data.names == ["cell"]
    grid = data.grid(0, 0.12)
    # Middles of the grid's boxes, because the functions to be compared are not periodic.
    middle = (0.5 / np.array(grid.shape)) @ grid.cell
    points = grid.points().reshape(-1, 3) + middle
    assert (distance_to_nearest(data.atoms(0), points) < CUTOFF).all()
    assert_unbiased(data, points, importance, draws=60)


def test_periodic_orbitals_are_compared_on_a_grid_over_the_cell(periodic_orbital_data):
    data = periodic_orbital_data
    grid = data.grid(0, 0.2, margin=9.0)
    assert np.array_equal(grid.cell, data.atoms(0).cell.array)
    density = data.on_grid(0, 0.2)
    exact = data.density(0).at(grid.points().reshape(-1, 3)[::50])
    np.testing.assert_allclose(density.values.ravel()[::50], exact, rtol=1e-4, atol=1e-5)
    # Made-up orbitals are not normalised: the overlap matrix says what they integrate to.
    orbitals = data.density(0)
    overlap = overlap_matrix(orbitals.atoms, orbitals.shells)
    electrons = 2 * np.einsum("ai,ab,bi", orbitals.coefficients, overlap, orbitals.coefficients)
    assert density.n_electrons == pytest.approx(electrons, rel=1e-4)


@pytest.mark.parametrize("importance", [0.0, 0.5, 0.99])
@pytest.mark.parametrize("index", [0, 1])
def test_as_many_probes_as_asked_for_all_in_reach(grid_data, orbital_data, index, importance):
    for data in (grid_data, orbital_data):
        for count in (1, 2, 777):
            drawn = data.draw(
                index, count, np.random.default_rng(0), cutoff=CUTOFF, importance=importance
            )
            assert drawn.points.shape == (len(drawn.values), 3)
            assert drawn.weights.shape == drawn.values.shape
            # A point drawn around a nucleus may be out of reach, and is then left out.
            assert len(drawn.values) == count or data is orbital_data
            assert len(drawn.values) >= 0.95 * count
            assert (distance_to_nearest(data.atoms(index), drawn.points) < CUTOFF).all()
            assert (drawn.weights > 0).all()
            assert np.isfinite(drawn.weights).all()
            if importance == 0.0:
                assert (drawn.weights == 1.0).all()


def test_a_draw_is_a_function_of_the_generators_state(grid_data, orbital_data):
    for data in (grid_data, orbital_data):
        for importance in (0.0, 0.5):
            draw = {"cutoff": CUTOFF, "importance": importance}
            first, again, other = (
                data.draw(0, 50, np.random.default_rng(seed), **draw) for seed in (1, 1, 2)
            )
            assert np.array_equal(first.points, again.points)
            assert np.array_equal(first.values, again.values)
            assert np.array_equal(first.weights, again.weights)
            assert not np.array_equal(first.points, other.points)


@pytest.mark.parametrize("periodic", [False, True])
def test_draws_stay_what_they_were(orbital_data, periodic_orbital_data, periodic):
    """Runs are resumed: the points and weights of a seed are these for ever."""
    data = periodic_orbital_data if periodic else orbital_data
    drawn = data.draw(0, 200, np.random.default_rng(5), cutoff=CUTOFF, importance=0.5)
    found = [len(drawn.points), drawn.points.sum(), drawn.weights.sum()]
    expected = EXPECTED[periodic]
    assert found == pytest.approx(expected, rel=1e-9)


def test_values_are_those_of_the_density(grid_data, orbital_data):
    generator = np.random.default_rng(3)
    drawn = grid_data.draw(0, 300, generator, cutoff=CUTOFF, importance=0.5)
    density = grid_data.density(0)
    fractional = (drawn.points - density.grid.origin) @ np.linalg.inv(SKEWED)
    index = fractional * density.grid.shape
    np.testing.assert_allclose(index, np.rint(index), atol=1e-9)
    assert np.array_equal(density.values[tuple(np.rint(index).astype(int).T)], drawn.values)

    drawn = orbital_data.draw(0, 100, generator, cutoff=CUTOFF, importance=0.5)
    exact = orbital_density("H2O", 10).at(drawn.points)
    # The archive keeps positions and coefficients in single precision.
    np.testing.assert_allclose(drawn.values, exact, rtol=1e-4, atol=1e-5)
    assert drawn.values.dtype == np.float64


def test_importance_draws_where_the_density_is(grid_data, orbital_data):
    for data in (grid_data, orbital_data):
        uniform, important = (
            data.draw(0, 2000, np.random.default_rng(0), cutoff=CUTOFF, importance=f)
            for f in (0.0, 0.5)
        )
        assert important.values.mean() > 3 * uniform.values.mean()


def test_negative_and_vanishing_densities():
    atoms = Atoms("H", [[2.0, 2.0, 2.0]])
    grid = Grid(np.eye(3) * 4, (8, 8, 8))
    values = np.full(grid.shape, -0.1)
    values[4, 4, 4] = -5.0
    densities = {"negative": values, "zero": np.zeros(grid.shape)}
    data = GridDataset(list(densities), read=lambda p: Density(atoms, grid, densities[p]))
    for index in (0, 1):
        drawn = data.draw(index, 500, np.random.default_rng(0), cutoff=CUTOFF, importance=0.5)
        assert len(drawn.values) == 500
        assert np.isfinite(drawn.weights).all()
        assert drawn.weights.mean() == pytest.approx(1.0, abs=0.15)


def test_atoms_and_grid_that_do_not_belong_together():
    grid = Grid(np.eye(3) * 4, (8, 8, 8))
    density = Density(Atoms("H", [[90.0, 0, 0]]), grid, np.ones(grid.shape))
    data = GridDataset(["a"], read=lambda path: density)
    with pytest.raises(UnsupportedStructureError, match="no grid point within"):
        data.draw(0, 10, np.random.default_rng(0), cutoff=CUTOFF)


def test_grids_and_slabs_for_evaluation(grid_data, orbital_data):
    density = grid_data.density(0)
    assert grid_data.grid(0, 0.05, 1.0) is density.grid
    assert np.array_equal(grid_data.slab(0, density.grid, 3, 5), density.values[3:5])

    grid = orbital_data.grid(0, 0.4, 2.0)
    assert grid.voxel[0, 0] == pytest.approx(0.4)
    slab = orbital_data.slab(0, grid, 2, 4)
    expected = orbital_data.density(0).at(grid.points()[2:4].reshape(-1, 3))
    np.testing.assert_allclose(slab.ravel(), expected, rtol=0, atol=1e-6)


def test_electrons(grid_data, orbital_data):
    assert orbital_data.n_electrons(0) == 8.0
    assert orbital_data.n_electrons(1) == 2.0
    assert grid_data.n_electrons(0) == pytest.approx(8.0, abs=0.05)
    part = orbital_data.subset([1])
    assert part.n_electrons(0) == 2.0
    assert part.elements() == [1]


def test_parts_draw_what_the_whole_draws(orbital_data):
    part = orbital_data.subset([1])
    whole, same = (
        data.draw(index, 20, np.random.default_rng(0), cutoff=CUTOFF, importance=0.5)
        for data, index in ((orbital_data, 1), (part, 0))
    )
    assert np.array_equal(whole.points, same.points)
    assert np.array_equal(whole.values, same.values)
    grid = part.grid(0, 0.5, 1.0)
    assert np.array_equal(part.slab(0, grid, 0, 1), orbital_data.slab(1, grid, 0, 1))
