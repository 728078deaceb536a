"""Image atoms near boxes, against brute force over shifts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms

from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.testing.structures import points_near, sodium_chloride


def brute_force(atoms, lower, upper, cutoff, reach=14):
    """All images closer to the box than the cutoff: atoms and positions."""
    ranges = [range(-reach, reach + 1) if p else (0,) for p in atoms.pbc]
    shifts = np.array(list(itertools.product(*ranges)))
    positions = atoms.positions[:, None] + (shifts @ np.asarray(atoms.cell))[None]
    gap = np.linalg.norm(np.maximum(0, np.maximum(lower - positions, positions - upper)), axis=2)
    chosen = np.argwhere(gap < cutoff)
    return chosen[:, 0], positions[chosen[:, 0], chosen[:, 1]]


def ordered(atoms, positions):
    return sorted((int(a), *np.round(p, 6)) for a, p in zip(atoms, positions, strict=True))


@pytest.mark.parametrize("cutoff", [1.3, 4.0])
def test_boxes_inside_a_region(structure, cutoff):
    generator = np.random.default_rng(0)
    lower, upper = structure.positions.min(axis=0) - 3.0, structure.positions.max(axis=0) + 2.0
    search = NeighbourhoodSearch(structure, lower, upper, cutoff)
    found_any = False
    for _ in range(8):
        ends = generator.uniform(lower, upper, (2, 3))
        box = ends.min(axis=0), np.minimum(ends.min(axis=0) + 2.0, ends.max(axis=0))
        atoms, positions = search.near(*box)
        assert ordered(atoms, positions) == ordered(*brute_force(structure, *box, cutoff))
        found_any |= len(atoms) > 0
    assert found_any
    whole = search.near(lower, upper)
    assert ordered(*whole) == ordered(*brute_force(structure, lower, upper, cutoff))


def test_images_come_in_the_same_relative_order_in_every_box():
    atoms = sodium_chloride()
    lower, upper = np.full(3, -5.0), np.full(3, 15.0)
    search = NeighbourhoodSearch(atoms, lower, upper, 4.0)
    everything = [tuple(p) for p in search.near(lower, upper)[1]]
    for point in points_near(atoms, 10):
        positions = [tuple(p) for p in search.near(point, point + 1.0)[1]]
        places = [everything.index(p) for p in positions]
        assert places == sorted(places)
        # Nor does the order depend on the region.
        other = NeighbourhoodSearch(atoms, point - 2.0, point + 3.0, 4.0)
        assert [tuple(p) for p in other.near(point, point + 1.0)[1]] == positions


def test_many_atoms():
    # More bins than one along every axis, and fewer than there would be without a limit.
    generator = np.random.default_rng(1)
    atoms = Atoms("H300", generator.uniform(0, 60, (300, 3)) * [1.0, 1.0, 0.3])
    search = NeighbourhoodSearch(atoms, np.zeros(3), np.full(3, 60.0), 3.0)
    for corner in generator.uniform(0, 60, (20, 3)):
        box = corner, corner + np.array([2.0, 0.0, 5.0])
        assert ordered(*search.near(*box)) == ordered(*brute_force(atoms, *box, 3.0))


def test_nothing_in_reach():
    search = NeighbourhoodSearch(Atoms("H"), np.full(3, 50.0), np.full(3, 60.0), 4.0)
    atoms, positions = search.near(np.full(3, 51.0), np.full(3, 52.0))
    assert len(atoms) == 0
    assert positions.shape == (0, 3)


def test_a_region_without_extent():
    search = NeighbourhoodSearch(Atoms("H"), np.zeros(3), np.zeros(3), 4.0)
    atoms, positions = search.near(np.zeros(3), np.zeros(3))
    assert atoms.tolist() == [0]
    assert positions.tolist() == [[0.0, 0.0, 0.0]]
