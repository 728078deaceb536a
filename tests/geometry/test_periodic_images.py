"""Periodic images against brute force."""

from __future__ import annotations

import itertools
import time

import numpy as np
import pytest

from deepdft.errors import ConfigurationError, UnsupportedStructureError
from deepdft.geometry.periodic_images import images_in_reach

TRICLINIC = np.array([[3.1, 0.2, -0.4], [1.3, 2.7, 0.1], [-0.8, 0.9, 4.2]])


def brute_force(positions, cell, pbc, lower, upper, cutoff, reach=9):
    """All (atom, shift) in lexicographic order among shifts of up to `reach` cells."""
    found = []
    ranges = [range(-reach, reach + 1) if periodic else (0,) for periodic in pbc]
    for atom, position in enumerate(positions):
        for shift in itertools.product(*ranges):
            image = position + np.array(shift) @ cell
            gap = np.maximum(0, np.maximum(lower - image, image - upper))
            if np.linalg.norm(gap) <= cutoff:
                found.append((atom, *shift))
    return found


@pytest.mark.parametrize("pbc", list(itertools.product([False, True], repeat=3)))
@pytest.mark.parametrize("cell", [TRICLINIC, np.diag([2.0, 5.0, 3.0])])
def test_agrees_with_brute_force(pbc, cell):
    generator = np.random.default_rng(sum(2**i for i, p in enumerate(pbc) if p))
    positions = np.vstack([generator.uniform(-6, 6, (3, 3)), np.ones(3)])
    lower = generator.uniform(-2, 0, 3)
    upper = lower + generator.uniform(0, 3, 3)
    images = images_in_reach(positions, cell, pbc, lower, upper, 4.0)
    found = [(int(a), *map(int, s)) for a, s in zip(images.atoms, images.shifts, strict=True)]
    assert found == brute_force(positions, cell, pbc, lower, upper, 4.0)
    assert np.array_equal(images.positions, positions[images.atoms] + images.shifts @ cell)
    assert len(found) > 0


def test_zero_vector_along_a_direction_that_is_not_periodic():
    cell = np.array([[2.5, 0.3, 0.0], [0.0, 0.0, 0.0], [0.1, 0.0, 3.0]])
    pbc = (True, False, True)
    positions = np.array([[0.3, 0.4, 0.5], [9.0, -1.0, -7.0]])
    images = images_in_reach(positions, cell, pbc, np.zeros(3), np.ones(3), 3.0)
    found = [(int(a), *map(int, s)) for a, s in zip(images.atoms, images.shifts, strict=True)]
    assert found == brute_force(positions, cell, pbc, np.zeros(3), np.ones(3), 3.0)


def test_an_image_exactly_at_the_cutoff_counts():
    images = images_in_reach([[0.0, 0.0, 0.0]], np.eye(3), True, np.zeros(3), np.zeros(3), 1.0)
    assert len(images.atoms) == 7


def test_no_atoms():
    images = images_in_reach(np.empty((0, 3)), np.eye(3), True, np.zeros(3), np.ones(3), 2.0)
    assert images.atoms.shape == (0,)
    assert images.shifts.shape == (0, 3)
    assert images.positions.shape == (0, 3)


@pytest.mark.parametrize(
    "cell", [np.zeros((3, 3)), np.array([[1.0, 0, 0], [2.0, 0, 0], [0, 0, 1]])]
)
def test_periodic_without_a_cell_is_refused(cell):
    with pytest.raises(UnsupportedStructureError, match="linearly independent"):
        images_in_reach(np.zeros((1, 3)), cell, True, np.zeros(3), np.ones(3), 2.0)


def test_unusable_cutoff_is_refused():
    with pytest.raises(ConfigurationError, match="cutoff"):
        images_in_reach(np.zeros((1, 3)), np.eye(3), True, np.zeros(3), np.ones(3), np.nan)


def test_many_atoms_take_little_time():
    generator = np.random.default_rng(0)
    cell = np.diag([100.0, 100.0, 100.0])
    positions = generator.uniform(0, 100, (100_000, 3))
    start = time.perf_counter()
    images = images_in_reach(positions, cell, True, np.zeros(3), np.full(3, 100.0), 4.0)
    assert time.perf_counter() - start < 2.0
    expected = 104**3 / 100**3 * 100_000
    assert len(images.atoms) > expected
