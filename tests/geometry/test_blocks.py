"""Blocks of grids and of lists of points."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deepdft.density import Grid
from deepdft.geometry.blocks import block_points, block_shape, grid_blocks, spatial_groups
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.prediction.engine import ProbeEngine
from deepdft.testing.networks import small_network
from deepdft.testing.structures import STRUCTURES, ethanol, points_near, triclinic

SKEWED = Grid([[7.0, 0.3, -0.2], [-1.1, 6.5, 0.4], [0.6, -0.9, 8.2]], (11, 9, 14), [0.1, -3.0, 2.0])


def test_blocks_tile_an_index_box():
    start, stop = (2, 0, 5), (11, 7, 14)
    blocks = grid_blocks(SKEWED, start, stop, (4, 3, 5))
    seen = np.zeros(SKEWED.shape, int)
    for first, last in zip(blocks.first, blocks.last, strict=True):
        assert ((last - first) <= (4, 3, 5)).all()
        seen[tuple(slice(a, b) for a, b in zip(first, last, strict=True))] += 1
    assert (seen[2:11, 0:7, 5:14] == 1).all()
    assert seen.sum() == 9 * 7 * 9


def test_points_of_a_block_are_those_of_the_grid():
    blocks = grid_blocks(SKEWED, (0, 0, 0), SKEWED.shape, (4, 3, 5))
    for first, last, lower, upper in zip(*blocks, strict=True):
        points = block_points(SKEWED, first, last)
        assert np.array_equal(points, SKEWED.points(tuple(first), tuple(last)).reshape(-1, 3))
        np.testing.assert_allclose(lower, points.min(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(upper, points.max(axis=0), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", STRUCTURES)
def test_occupied_blocks_are_those_with_an_atom_near(name):
    atoms = STRUCTURES[name]()
    grid = Grid(np.diag([30.0, 28.0, 31.0]), (20, 18, 22), atoms.positions[0] - 13.0)
    blocks = grid_blocks(grid, (0, 0, 0), grid.shape, (3, 3, 3))
    search = NeighbourhoodSearch(atoms, blocks.lower.min(axis=0), blocks.upper.max(axis=0), 2.5)
    occupied = search.occupied(blocks.lower, blocks.upper)
    expected = [
        len(search.near(a, b)[0]) > 0 for a, b in zip(blocks.lower, blocks.upper, strict=True)
    ]
    assert occupied.tolist() == expected
    if not atoms.pbc.all():
        assert not occupied.all()
    assert occupied.any()


def test_groups_of_points_lie_together():
    points = points_near(triclinic(), 5000, spread=20.0)
    groups = spatial_groups(points, 64)
    assert sorted(np.concatenate(groups)) == list(range(5000))
    for group in groups:
        assert len(group) <= 64
        assert np.ptp(points[group], axis=0).max() <= 3.0


def test_points_move_by_whole_periods_along_periodic_directions():
    atoms = STRUCTURES["slab"]()
    points = points_near(atoms, 50, spread=30.0)
    moved = moved_into_cell(points, atoms)
    vectors = np.asarray(atoms.cell)[:2]
    periods = (points - moved) @ np.linalg.pinv(vectors)
    np.testing.assert_allclose(periods, np.rint(periods), rtol=0, atol=1e-9)
    np.testing.assert_allclose(points - moved, np.rint(periods) @ vectors, rtol=0, atol=1e-9)
    inside = moved @ np.linalg.pinv(vectors)
    assert (inside > -1e-9).all()
    assert (inside < 1 + 1e-9).all()
    assert moved_into_cell(points, ethanol()) is points


def test_slabs_of_a_grid_are_parts_of_the_whole():
    # The first slab, the second (which begins a search for the whole grid) and the rest.
    atoms = triclinic()
    engine = ProbeEngine(small_network("deepdft", torch.float32), None, atoms, threads=1)
    whole = engine.box(SKEWED, (0, 0, 0), SKEWED.shape)
    thickness = block_shape(SKEWED, engine.block_size)[2]
    for first in range(0, 14, thickness):
        last = min(first + thickness, 14)
        slab = engine.box(SKEWED, (0, 0, first), (11, 9, last))
        assert np.array_equal(slab, whole[:, :, first:last])
    other = Grid(SKEWED.cell, SKEWED.shape, SKEWED.origin + 0.05)
    moved = engine.box(other, (0, 0, 0), (3, 3, 3))
    expected = engine.at(other.points((0, 0, 0), (3, 3, 3)).reshape(-1, 3))
    np.testing.assert_allclose(moved.ravel(), expected, rtol=0, atol=1e-6)


def test_compiled_values_do_not_depend_on_the_block_at_all():
    atoms = triclinic()
    engine = ProbeEngine(small_network("deepdft", torch.float32), None, atoms, threads=1)
    points = points_near(atoms, 700, spread=3.0)
    results = []
    for engine.block_size in (1, 7, 64, 700):
        results.append(engine.at(points))
    assert all(np.array_equal(result, results[0]) for result in results)
