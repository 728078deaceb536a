"""Grids chosen for structures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from ase import Atoms
from ase.build import fcc111, molecule

from deepdft.errors import ConfigurationError
from deepdft.prediction import choose_grid


def margins(grid, atoms):
    """Distance from the outermost nuclei to the outermost points, along Cartesian axes."""
    points = grid.points().reshape(-1, 3)
    below = atoms.positions.min(axis=0) - points.min(axis=0)
    above = points.max(axis=0) - atoms.positions.max(axis=0)
    return below, above


def test_a_molecule_gets_exactly_the_spacing_and_at_least_the_vacuum():
    atoms = molecule("C6H6")
    grid = choose_grid(atoms, spacing=0.17, vacuum=2.0)
    np.testing.assert_allclose(grid.voxel, 0.17 * np.eye(3), atol=1e-12)
    below, above = margins(grid, atoms)
    # Points stand for the voxels around them, which reach half a spacing further.
    assert (below + 0.085 >= 2.0 - 1e-9).all()
    assert (above + 0.085 >= 2.0 - 1e-9).all()
    np.testing.assert_allclose(below, above, atol=1e-9)


def test_a_crystal_gets_its_cell_and_no_coarser_spacing():
    cell = np.array([[3.0, 0.2, 0.0], [0.0, 4.1, 0.3], [1.0, 0.0, 5.2]])
    grid = choose_grid(Atoms("C", cell=cell, pbc=True), spacing=0.4)
    np.testing.assert_allclose(grid.cell, cell)
    lengths = np.linalg.norm(grid.voxel, axis=1)
    assert (lengths <= 0.4 + 1e-12).all()
    assert (lengths > 0.3).all()


def test_a_slab_is_periodic_in_plane_and_boxed_across():
    atoms = fcc111("Al", (2, 1, 3))
    atoms.pbc = (True, True, False)
    grid = choose_grid(atoms, spacing=0.3, vacuum=2.5)
    np.testing.assert_allclose(grid.cell[:2], np.asarray(atoms.cell)[:2], atol=1e-12)
    z = grid.points()[..., 2]
    assert z.min() == pytest.approx(atoms.positions[:, 2].min() - 2.5)
    assert grid.cell[2] @ grid.cell[0] == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(grid.cell[2]) == pytest.approx(np.ptp(atoms.positions[:, 2]) + 5.0)


def test_a_wire_is_periodic_in_one_direction():
    atoms = Atoms("C2", [(0, 0, 0), (0.1, 0.2, 1.2)], cell=[0, 0, 2.5], pbc=(False, False, True))
    grid = choose_grid(atoms, shape=(8, 9, 10), vacuum=2.0)
    assert grid.shape == (8, 9, 10)
    np.testing.assert_allclose(grid.cell[2], (0, 0, 2.5))
    assert abs(np.linalg.det(grid.cell)) == pytest.approx(
        2.5 * np.prod(np.linalg.norm(grid.cell[:2], axis=1))
    )
    fractional = np.linalg.solve(grid.cell.T, (atoms.positions - grid.origin).T).T
    assert (fractional[:, :2] > 0).all()
    assert (fractional[:, :2] < 1).all()


CELLS = {
    "upright": np.diag([3.0, 4.0, 5.0]),
    "hexagonal": np.array([[3.0, 0, 0], [-1.5, 2.6, 0], [0, 0, 5.0]]),
    "skewed": np.array([[3.0, 0.4, 0.2], [0.3, 4.1, 0.8], [1.0, -0.5, 5.2]]),
}


@pytest.mark.parametrize("pbc", [p for p in itertools.product((True, False), repeat=3) if any(p)])
@pytest.mark.parametrize("name", CELLS)
def test_axes_are_those_of_the_cell_and_right_handed(name, pbc):
    cell = CELLS[name]
    atoms = Atoms("C2", [(0, 0, 0), (0.1, 0.2, 0.3)], cell=cell, pbc=pbc)
    grid = choose_grid(atoms, shape=(4, 5, 6), vacuum=2.0)
    assert np.linalg.det(grid.cell) > 0
    for axis, periodic in enumerate(pbc):
        if periodic:
            np.testing.assert_array_equal(grid.cell[axis], cell[axis])
            continue
        others = np.delete(grid.cell, axis, axis=0)
        np.testing.assert_allclose(others @ grid.cell[axis], 0, atol=1e-9)
        # Nearer to the cell's own vector than to its opposite or to being across it.
        own = cell[axis] / np.linalg.norm(cell[axis])
        assert own @ grid.cell[axis] > 0.7 * np.linalg.norm(grid.cell[axis])


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("direction", np.eye(3).tolist())
def test_a_chain_without_other_vectors_is_right_handed(axis, direction):
    cell, pbc = np.zeros((3, 3)), np.zeros(3, bool)
    cell[axis], pbc[axis] = 2.5 * np.array(direction), True
    atoms = Atoms("C2", [(0, 0, 0), (0.1, 0.2, 0.3)], cell=cell, pbc=pbc)
    grid = choose_grid(atoms, spacing=0.5)
    assert np.linalg.det(grid.cell) > 0
    np.testing.assert_array_equal(grid.cell[axis], cell[axis])
    if direction[axis]:
        np.testing.assert_allclose(grid.cell, np.diag(np.diag(grid.cell)), atol=1e-12)
        assert (np.diag(grid.cell) > 0).all()


def test_a_left_handed_cell_becomes_right_handed_where_it_is_free():
    cell = np.array([[0, 3.0, 0], [3.0, 0, 0], [0, 0, 5.0]])
    grid = choose_grid(Atoms("C", cell=cell, pbc=(True, True, False)), spacing=0.5, vacuum=2.0)
    np.testing.assert_array_equal(grid.cell[:2], cell[:2])
    np.testing.assert_allclose(grid.cell[2], [0, 0, -4.0])
    assert grid.origin[2] == pytest.approx(2.0)


@pytest.mark.parametrize(
    "options",
    [
        {"spacing": 0.0},
        {"spacing": float("nan")},
        {"vacuum": -1.0},
        {"spacing": 0.1, "shape": (3, 3, 3)},
        {"shape": (3, 0, 3)},
    ],
)
def test_unusable_values_are_refused(options):
    with pytest.raises(ConfigurationError):
        choose_grid(molecule("CH4"), **options)


def test_a_periodic_direction_needs_a_cell_vector():
    with pytest.raises(ConfigurationError, match="zero"):
        choose_grid(Atoms("C", pbc=(True, False, False)), spacing=0.5)
