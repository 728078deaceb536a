"""Walks over grids: every point once, and memory that does not grow with the grid."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from deepdft.density import Grid
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.walk import SLAB_POINTS, density_on, slabs, walk
from deepdft.geometry.blocks import block_shape

SKEWED = np.array([[3.0, 0.4, -0.2], [0.3, 4.1, 0.8], [1.0, -0.5, 5.2]])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("shape", [(70, 3, 5), (100, 90, 80), (9, 1, 2000)])
@pytest.mark.parametrize("points", [1, 500, 30_000, 10**8])
def test_slabs_cover_a_grid_once(shape, axis, points):
    grid = Grid(np.eye(3), shape)
    seen = np.zeros(shape, int)
    for start, stop in slabs(grid, axis, points):
        seen[tuple(slice(*span) for span in zip(start, stop, strict=True))] += 1
    assert (seen == 1).all()


def test_slabs_of_large_grids_are_thin():
    for edge, most in [(300, SLAB_POINTS), (1000, 8 * 10**6), (3000, 9 * 10**6), (10_000, 10**8)]:
        grid = Grid(np.eye(3), (edge, edge, edge))
        start, stop = next(slabs(grid))
        size = np.prod(np.subtract(stop, start))
        assert edge**2 <= size <= most


def test_blocks_of_thin_boxes_are_not_small():
    grid = Grid(100 * np.eye(3), (1000, 1000, 1000))
    assert block_shape(grid, 512, (64, 64, 64)) == (8, 8, 8)
    for extent in [(1, 1000, 1000), (1000, 2, 1000), (1, 1, 1000)]:
        shape = block_shape(grid, 512, extent)
        assert 400 < np.prod(shape) < 600
        assert (np.array(shape) <= extent).all()


def test_a_walk_agrees_with_points_and_tells_of_its_progress():
    atoms = Atoms("CO", [(0.2, 0.1, 0.3), (0.5, 0.4, 1.4)], cell=SKEWED, pbc=True)
    field = SuperposedAtoms(AtomicDensityTables.load("pbe-gth-dzvp"), atoms, threads=1)
    grid = Grid(SKEWED, (11, 9, 14), np.array([0.3, -0.2, 0.1]))
    whole = density_on(field, grid)
    assert whole.level == field.level
    flat = field.at(grid.points().reshape(-1, 3)).reshape(grid.shape)
    np.testing.assert_allclose(whole.values, flat, rtol=0, atol=1e-13)
    for axis in range(3):
        told: list[int] = []
        for start, stop, values in walk(field, grid, slabs(grid, axis, 300), progress=told.append):
            place = tuple(slice(*span) for span in zip(start, stop, strict=True))
            np.testing.assert_allclose(values, whole.values[place], rtol=0, atol=1e-13)
        assert sum(told) == grid.n_points
        assert len(told) > 1
    _, _, derivatives = next(walk(field, grid, slabs(grid), order=2))
    np.testing.assert_allclose(derivatives.value, whole.values, rtol=0, atol=1e-12)
    assert derivatives.hessian.shape == (*grid.shape, 3, 3)
