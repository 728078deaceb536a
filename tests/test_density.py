"""Grids and densities."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from deepdft.density import Density, Grid, as_points
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.levels import LevelOfTheory

SKEWED = np.array([[4.0, 0.3, -0.2], [-1.1, 3.5, 0.4], [0.6, -0.9, 5.2]])
PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


def skewed_grid(shape=(6, 5, 7)):
    return Grid(SKEWED, shape, np.array([0.7, -2.0, 11.0]))


UNKNOWN = LevelOfTheory()


def density(values=None, level=UNKNOWN, grid=None, **more):
    grid = skewed_grid() if grid is None else grid
    if values is None:
        values = np.random.default_rng(0).random(grid.shape)
    return Density(Atoms("H"), grid, values, level=level, **more)


# Grid


def test_points_of_a_skewed_grid():
    grid = skewed_grid()
    points = grid.points()
    assert points.shape == (6, 5, 7, 3)
    for i, j, k in [(0, 0, 0), (5, 4, 6), (2, 0, 3), (1, 4, 0)]:
        expected = grid.origin + i / 6 * SKEWED[0] + j / 5 * SKEWED[1] + k / 7 * SKEWED[2]
        np.testing.assert_allclose(points[i, j, k], expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(points[1, 0, 0] - points[0, 0, 0], grid.voxel[0], atol=1e-13)
    assert grid.n_points == 210
    assert grid.volume == pytest.approx(SKEWED[0] @ np.cross(SKEWED[1], SKEWED[2]), rel=1e-13)
    assert grid.voxel_volume == pytest.approx(grid.volume / 210, rel=1e-13)


def test_a_point_does_not_depend_on_the_box_it_is_asked_for_in():
    grid = Grid(SKEWED, (7, 9, 11), np.array([0.1, 1e3, -77.7]))
    whole = grid.points()
    for start, stop in [((2, 3, 4), (5, 9, 6)), ((6, 8, 10), (7, 9, 11)), ((0, 0, 3), (7, 1, 4))]:
        part = grid.points(start, stop)
        place = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        assert np.array_equal(part, whole[place])


def test_a_left_handed_cell_has_a_positive_volume():
    grid = Grid(SKEWED[[1, 0, 2]], (2, 2, 2))
    assert grid.volume == pytest.approx(abs(np.linalg.det(SKEWED)))


def test_n_points_beyond_32_bits():
    assert Grid(np.eye(3), (100_000, 100_000, 100_000)).n_points == 10**15


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((np.eye(3), (0, 1, 1)), "at least one point"),
        ((np.eye(3), (1, 1)), "three point counts"),
        ((np.eye(2), (1, 1, 1)), r"\(3, 3\) cell"),
        ((np.eye(3), (1, 1, 1), np.zeros(2)), r"\(3,\) origin"),
        ((np.ones((3, 3)), (1, 1, 1)), "no volume"),
        ((np.diag([1.0, 0.0, 1.0]), (1, 1, 1)), "no volume"),
        ((np.diag([1.0, np.nan, 1.0]), (1, 1, 1)), "not finite"),
        ((np.eye(3), (1, 1, 1), np.array([0.0, np.inf, 0.0])), "not finite"),
    ],
)
def test_grids_that_are_refused(arguments, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        Grid(*arguments)


@pytest.mark.parametrize(("spacing", "vacuum"), [(0.1, 3.0), (0.37, 2.0), (0.25, 0.0)])
def test_grid_around_a_molecule(spacing, vacuum):
    atoms = molecule("CH3CH2OH")
    atoms.positions += [100.0, -3.0, 0.2]
    grid = Grid.around(atoms, spacing, vacuum)
    np.testing.assert_allclose(grid.voxel, spacing * np.eye(3), rtol=0, atol=1e-12)
    # Every point stands for a box around it; together these reach the vacuum on all sides.
    points = grid.points().reshape(-1, 3)
    low, high = points.min(axis=0) - spacing / 2, points.max(axis=0) + spacing / 2
    below, above = atoms.positions.min(axis=0) - low, high - atoms.positions.max(axis=0)
    np.testing.assert_allclose(below, above, rtol=0, atol=1e-9)
    assert below.min() >= vacuum - 1e-9
    assert below.max() < vacuum + spacing / 2 + 1e-9


def test_grid_around_counts_no_extra_layer_for_rounding():
    pair = Atoms("H2", [[0.1, 0.0, 0.0], [0.8, 0.0, 0.0]])
    assert Grid.around(pair, 0.1, 3.0).shape == (67, 60, 60)


def test_grid_around_refuses():
    with pytest.raises(ConfigurationError, match="no atoms"):
        Grid.around(Atoms(), 0.1, 3.0)
    for spacing, vacuum in [(0.0, 3.0), (-0.1, 3.0), (0.1, -1.0), (np.nan, 3.0)]:
        with pytest.raises(ConfigurationError, match="Spacing must be positive"):
            Grid.around(Atoms("H"), spacing, vacuum)


def test_grid_of_a_cell():
    atoms = Atoms("H", cell=SKEWED, pbc=True)
    grid = Grid.of_cell(atoms, 0.3)
    lengths = np.linalg.norm(grid.voxel, axis=1)
    assert (lengths <= 0.3 + 1e-12).all()
    assert (lengths > 0.3 * 12 / 14).all()
    assert np.array_equal(grid.cell, SKEWED)
    assert Grid.of_cell(Atoms("H", cell=[3.0, 6.0, 0.05]), 0.1).shape == (30, 60, 1)
    with pytest.raises(ConfigurationError, match="no volume"):
        Grid.of_cell(Atoms("H"), 0.1)
    with pytest.raises(ConfigurationError, match="Spacing must be positive"):
        Grid.of_cell(atoms, 0.0)


def test_slabs_cover_every_layer_once():
    grid = skewed_grid((6, 5, 7))
    for axis, per_layer in enumerate((35, 42, 30)):
        for max_points in (1, 80, 10_000):
            layers = [i for start, stop in grid.slabs(axis, max_points) for i in range(start, stop)]
            assert layers == list(range(grid.shape[axis]))
            for start, stop in grid.slabs(axis, max_points):
                assert (stop - start) * per_layer <= max(max_points, per_layer)


def test_close_grids():
    grid = skewed_grid()
    assert grid.is_close(Grid(SKEWED + 5e-5, grid.shape, grid.origin))
    assert not grid.is_close(Grid(SKEWED + 5e-4, grid.shape, grid.origin))
    assert not grid.is_close(Grid(SKEWED, grid.shape, grid.origin + 1e-3))
    assert not grid.is_close(Grid(SKEWED, (5, 6, 7), grid.origin))


# Density


def test_integration_of_a_periodic_gaussian_in_a_skewed_cell():
    # The trapezoidal rule of a smooth periodic function converges exponentially.
    grid = Grid(SKEWED, (24, 22, 30), np.array([0.3, 0.1, -0.4]))
    points = grid.points()
    exponent = 2.0
    values = np.zeros(grid.shape)
    shifts = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3), axis=-1).reshape(-1, 3)
    for shift in shifts @ SKEWED:
        squared = ((points - np.array([1.0, 2.0, 0.5]) - shift) ** 2).sum(axis=-1)
        values += 8.0 * (exponent / np.pi) ** 1.5 * np.exp(-exponent * squared)
    assert density(values, grid=grid).n_electrons == pytest.approx(8.0, abs=1e-8)


def test_integration_is_done_in_double_precision():
    grid = Grid(np.eye(3), (200, 200, 200))
    values = np.full(grid.shape, 0.1, dtype=np.float32)
    assert density(values, grid=grid).n_electrons == pytest.approx(float(np.float32(0.1)), rel=1e-9)


def test_total_spin():
    grid = skewed_grid()
    ones = np.ones(grid.shape)
    assert density(ones).total_spin is None
    assert density(ones, spin=0.5 * ones).total_spin == pytest.approx(0.5 * grid.volume)
    vector = density(ones, spin=np.stack((ones, 2 * ones, -ones))).total_spin
    np.testing.assert_allclose(vector, np.array([1.0, 2.0, -1.0]) * grid.volume)


def test_comparison_is_equation_7():
    generator = np.random.default_rng(1)
    a, b = generator.random((2, 6, 5, 7))
    a[0] *= -1.0
    result = density(a).compare(density(b))
    assert result.eps_mae == pytest.approx(np.abs(a - b).sum() / np.abs(a).sum(), rel=1e-12)
    assert result.max_absolute == np.abs(a - b).max()
    assert result.root_mean_square == pytest.approx(np.sqrt(((a - b) ** 2).mean()), rel=1e-12)
    voxel = skewed_grid().voxel_volume
    assert result.electrons == pytest.approx((a.sum() * voxel, b.sum() * voxel))
    # The reference is the one asked, so the two directions differ.
    assert density(b).compare(density(a)).eps_mae != pytest.approx(result.eps_mae)
    assert density(a).compare(density(a)).eps_mae == 0.0


def test_comparison_of_single_precision_values_subtracts_in_double():
    grid = skewed_grid()
    a = np.full(grid.shape, 1.0, dtype=np.float32)
    b = np.full(grid.shape, 1.0 + 1e-12)
    assert density(a).compare(density(b)).eps_mae == pytest.approx(1e-12, rel=1e-3)


def test_levels_of_theory_are_not_mixed():
    ours, theirs = density(level=PBE), density(level=LevelOfTheory("PBE0", "GTH-PBE", "400 eV"))
    for method in (ours.compare, ours.minus):
        with pytest.raises(LevelOfTheoryError, match="functional and the basis differ") as caught:
            method(theirs)
        assert "--mix-levels" in str(caught.value)
        method(theirs, mix_levels=True)
        # What is not known cannot conflict, and the code does not matter.
        method(density(level=LevelOfTheory("pbe", code="CP2K 2023.1")))
        method(density())


def test_grids_are_not_mixed():
    ours = density()
    other = density(grid=skewed_grid((5, 6, 7)))
    for method in (ours.compare, ours.minus):
        with pytest.raises(ConfigurationError, match="grids"):
            method(other)
    with pytest.raises(ConfigurationError, match="zero everywhere"):
        density(np.zeros((6, 5, 7))).compare(ours)


def test_minus():
    a = density(spin=np.full((6, 5, 7), 0.5), metadata={"augmentation": "text"})
    b = density(np.full((6, 5, 7), 0.25), spin=np.full((6, 5, 7), 0.2))
    difference = a.minus(b)
    assert np.array_equal(difference.values, a.values - 0.25)
    np.testing.assert_allclose(difference.spin, 0.3)
    assert difference.metadata == {}
    assert difference.grid is a.grid
    assert a.minus(density()).spin is None


def test_slice():
    a = density()
    assert np.array_equal(a.slice(0, 2), a.values[2])
    assert np.array_equal(a.slice(1, -1), a.values[:, 4])
    assert np.array_equal(a.slice(2, 6), a.values[:, :, 6])
    assert np.shares_memory(a.slice(1, 3), a.values)
    for axis, index in [(3, 0), (-1, 0), (0, 6), (1, -6), (2, 7)]:
        with pytest.raises(ConfigurationError, match="outside"):
            a.slice(axis, index)


def test_values_have_to_fit_the_grid():
    with pytest.raises(ConfigurationError, match=r"\(5, 6, 7\)"):
        density(np.zeros((5, 6, 7)))
    for shape in [(2, 6, 5, 7), (5, 6, 7), (3, 5, 6, 7)]:
        with pytest.raises(ConfigurationError, match="spin density"):
            density(spin=np.zeros(shape))


# Level of theory


def test_level_of_theory_as_text_and_dictionary():
    assert str(PBE) == "PBE/GTH-PBE/gth-dzvp (PySCF 2.14)"
    assert str(LevelOfTheory()) == "unknown level of theory"
    assert str(LevelOfTheory("PBE")) == "PBE"
    assert LevelOfTheory.from_dict(PBE.to_dict()) == PBE
    assert LevelOfTheory.from_dict({"functional": "PBE", "colour": "red"}) == LevelOfTheory("PBE")


def test_conflicts():
    assert PBE.conflicts_with(LevelOfTheory("pbe", "", "GTH-DZVP", "VASP")) == []
    assert PBE.conflicts_with(LevelOfTheory("PBE", "PAW", "400 eV")) == ["core", "basis"]


# Points


def test_points_are_checked():
    points = as_points([[1, 2, 3], [4, 5, 6]])
    assert points.dtype == np.float64
    assert points.flags.c_contiguous
    assert as_points(np.zeros((0, 3))).shape == (0, 3)
    for bad in (np.zeros(3), np.zeros((2, 2)), np.zeros((1, 2, 3))):
        with pytest.raises(ConfigurationError, match=r"\(n, 3\)"):
            as_points(bad)
    with pytest.raises(ConfigurationError, match="not finite"):
        as_points([[0.0, np.nan, 0.0]])


def test_a_density_keeps_its_structure_when_the_atoms_move_on():
    atoms = Atoms("H2", [(0, 0, 0), (0, 0, 0.74)])
    grid = Grid.around(atoms, 0.5, 1.0)
    collected = []
    for length in (0.7, 0.8):
        atoms.positions[1, 2] = length
        collected.append(Density(atoms, grid, np.zeros(grid.shape)))
    assert [density.atoms.positions[1, 2] for density in collected] == [0.7, 0.8]


def test_grids_are_equal_if_their_points_are():
    one = Grid(np.eye(3), (2, 3, 4))
    assert one == Grid(np.eye(3), (2, 3, 4))
    assert hash(one) == hash(Grid(np.eye(3), (2, 3, 4), -np.zeros(3)))
    for other in (Grid(np.eye(3), (2, 3, 5)), Grid(np.eye(3), (2, 3, 4), np.full(3, 1e-9)), "grid"):
        assert one != other
    density = Density(Atoms(), one, np.zeros(one.shape))
    assert density == density
    assert density != Density(Atoms(), one, np.zeros(one.shape))
