"""Resampling against densities that are known everywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.resampled import DensityField, Spline, fourier_resample, periodic_axes, resample

CELL = np.array([[3.1, 0.2, -0.4], [1.3, 2.7, 0.1], [-0.8, 0.9, 4.2]])
WAVES = ((0, 0, 0), (1, 0, 0), (0, -2, 1), (2, 1, -3), (-1, 2, 3))


def crystal() -> Atoms:
    return Atoms("C", [[0.1, 0.2, 0.3]], cell=CELL, pbc=True)


def plane_waves(points: NDArray[np.float64], highest: int = 3) -> NDArray[np.float64]:
    """A real sum of plane waves of the lattice at Cartesian points."""
    fractions = points @ np.linalg.inv(CELL)
    total = np.zeros(points.shape[:-1])
    for number, wave in enumerate(WAVES):
        if max(map(abs, wave)) <= highest:
            total += np.cos(2 * np.pi * (fractions @ wave) + 0.7 * number) / (1 + number)
    return total + 2.0


def gaussian(points: NDArray[np.float64], width: float = 0.8) -> NDArray[np.float64]:
    return np.exp(-((points - [0.3, -0.2, 0.1]) ** 2).sum(axis=-1) / (2 * width**2))


def band_limited(shape: tuple[int, int, int], origin: tuple[float, ...] = (0, 0, 0)) -> Density:
    grid = Grid(CELL, shape, np.array(origin))
    return Density(crystal(), grid, plane_waves(grid.points()))


@pytest.mark.parametrize("shape", [(7, 8, 9), (14, 11, 24), (6, 5, 20), (4, 3, 5), (1, 2, 1)])
def test_band_limited_densities_are_exact_on_any_number_of_points(
    shape: tuple[int, int, int],
) -> None:
    moved = resample(band_limited((8, 9, 10)), Grid(CELL, shape))
    assert moved.method == "fourier"
    expected = plane_waves(Grid(CELL, shape).points())
    np.testing.assert_allclose(moved.density.values, expected, atol=1e-12)


def test_origins_may_differ() -> None:
    target = Grid(CELL, (9, 8, 16), np.array([0.31, -0.17, 5.2]))
    moved = resample(band_limited((8, 9, 10), (-1.1, 0.4, 0.05)), target)
    assert moved.method == "fourier"
    np.testing.assert_allclose(moved.density.values, plane_waves(target.points()), atol=1e-12)


@pytest.mark.parametrize("shape", [(6, 5, 4), (7, 4, 9), (1, 3, 2)])
def test_the_trigonometric_interpolant_goes_through_its_values(
    shape: tuple[int, int, int],
) -> None:
    values = np.random.default_rng(0).standard_normal(shape)
    triple = fourier_resample(values, (3 * shape[0], 3 * shape[1], 3 * shape[2]))
    np.testing.assert_allclose(triple[::3, ::3, ::3], values, atol=1e-12)
    np.testing.assert_allclose(fourier_resample(triple, shape), values, atol=1e-12)


def test_fourier_resampling_keeps_the_integral_when_refined() -> None:
    generator = np.random.default_rng(1)
    density = Density(crystal(), Grid(CELL, (6, 7, 4)), generator.random((6, 7, 4)))
    finer = resample(density, Grid(CELL, (13, 16, 9))).density
    assert finer.n_electrons == pytest.approx(density.n_electrons, rel=1e-12)


def test_the_highest_wave_of_an_even_grid_stays_a_cosine() -> None:
    values = np.array([1.0, -1.0, 1.0, -1.0]).reshape(4, 1, 1)
    x = np.arange(12) / 12 + 0.05
    found = fourier_resample(values, (12, 1, 1), np.array([0.05, 0.0, 0.0]))
    np.testing.assert_allclose(found[:, 0, 0], np.cos(4 * np.pi * x), atol=1e-13)


def test_periodic_splines_across_the_cell_boundary_and_into_another_cell() -> None:
    source = band_limited((32, 30, 36))
    # A rectangular box that reaches over several cells of the crystal.
    target = Grid(np.diag([5.0, 4.0, 6.0]), (11, 9, 13), np.array([-2.0, 1.0, -3.0]))
    moved = resample(source, target)
    assert moved.method == "spline"
    assert moved.outside == 0
    expected = plane_waves(target.points())
    assert np.abs(moved.density.values - expected).max() < 2e-4
    coarser = resample(band_limited((16, 15, 18)), target)
    # Sixth order: half the spacing, about a 64th of the error.
    ratio = (np.abs(coarser.density.values - expected).max()) / (
        np.abs(moved.density.values - expected).max()
    )
    assert 35 < ratio < 120


def test_splines_agree_with_fourier_on_a_fine_grid() -> None:
    source = band_limited((40, 40, 44))
    target = Grid(CELL, (17, 18, 19), np.array([0.2, 0.1, 0.0]))
    spline = resample(source, target, "spline")
    assert spline.method == "spline"
    np.testing.assert_allclose(
        spline.density.values, resample(source, target, "fourier").density.values, atol=5e-5
    )


def molecule_in_box(spacing: float) -> Density:
    atoms = Atoms("He", [[0.3, -0.2, 0.1]])
    grid = Grid.around(atoms, spacing, 5.0)
    return Density(atoms, grid, gaussian(grid.points()))


def test_splines_of_a_molecule_are_exact_inside_and_zero_outside_of_its_box() -> None:
    source = molecule_in_box(0.2)
    target = Grid(np.diag([16.0, 9.0, 9.0]), (33, 21, 19), np.array([-8.0, -4.4, -4.3]))
    moved = resample(source, target)
    expected = gaussian(target.points())
    assert moved.method == "spline"
    assert np.abs(moved.density.values - expected).max() < 1e-5
    far = np.abs(target.points()[..., 0] - 0.3) > 5.2
    assert moved.outside == pytest.approx(far.mean())
    assert moved.outside > 0.3
    assert (moved.density.values[far] == 0).all()
    assert "zero at the" in moved.describe()


def test_a_box_that_cuts_a_crystal_does_not_repeat() -> None:
    atoms = crystal()
    box = Grid(np.diag([2.0, 2.0, 2.0]), (20, 20, 20))
    density = Density(atoms, box, plane_waves(box.points()))
    assert periodic_axes(density) == (False, False, False)
    inside = Grid(np.diag([1.0, 1.0, 1.0]), (7, 7, 7), np.array([0.5, 0.4, 0.6]))
    moved = resample(density, inside)
    assert moved.outside == 0
    np.testing.assert_allclose(moved.density.values, plane_waves(inside.points()), atol=2e-3)
    supercell = Grid(np.array([CELL[0], 2 * CELL[1], CELL[0] + CELL[2]]), (8, 18, 10))
    assert periodic_axes(Density(atoms, supercell, np.ones(supercell.shape))) == (True,) * 3


def test_a_slab_repeats_along_two_axes() -> None:
    cell = np.diag([3.0, 4.0, 12.0])
    atoms = Atoms("C", [[0, 0, 6.0]], cell=cell, pbc=(True, True, False))
    grid = Grid(cell, (30, 40, 60))

    def rho(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = np.moveaxis(points, -1, 0)
        wave = 2 + np.cos(2 * np.pi * x / 3) * np.sin(2 * np.pi * y / 4)
        return wave * np.exp(-((z - 6) ** 2))

    density = Density(atoms, grid, rho(grid.points()))
    assert periodic_axes(density) == (True, True, False)
    places = np.array([[-0.4, 9.9, 5.1], [31.0, -7.3, 6.6], [1.0, 1.0, 14.0]])
    values = Spline(density.values, periodic_axes(density))(
        places / np.array([3.0, 4.0, 12.0]) * grid.shape
    )
    np.testing.assert_allclose(values[:2], rho(places[:2]), atol=1e-4)
    assert values[2] == 0


def test_spin_is_resampled_too() -> None:
    collinear = band_limited((8, 9, 10))
    collinear = replace(collinear, spin=0.25 * collinear.values)
    target = Grid(CELL, (5, 6, 7))
    moved = resample(collinear, target).density
    assert moved.spin is not None
    np.testing.assert_allclose(moved.spin, 0.25 * plane_waves(target.points()), atol=1e-12)
    vector = replace(collinear, spin=np.stack([k * collinear.values for k in (1, 2, 3)]))
    moved = resample(vector, target).density
    assert moved.spin is not None
    np.testing.assert_allclose(moved.spin[2], 3 * plane_waves(target.points()), atol=1e-12)


def test_the_same_points_are_left_alone() -> None:
    density = band_limited((5, 6, 7))
    moved = resample(density, Grid(CELL + 1e-6, (5, 6, 7)))
    assert moved.method == "none"
    assert moved.density.values is density.values


def test_impossible_methods_are_refused() -> None:
    density = molecule_in_box(0.5)
    with pytest.raises(ConfigurationError, match="use splines"):
        resample(density, Grid(density.grid.cell, (5, 5, 5)), "fourier")
    with pytest.raises(ConfigurationError, match="no resampling 'cubic'"):
        resample(density, density.grid, "cubic")  # type: ignore[arg-type]


def test_a_density_is_a_field() -> None:
    density = band_limited((24, 22, 30), (0.1, -0.2, 0.3))
    field = DensityField(density)
    assert field.atoms == density.atoms
    box = field.box(density.grid, (2, 3, 4), (5, 9, 6))
    np.testing.assert_array_equal(box, density.values[2:5, 3:9, 4:6])
    points = np.random.default_rng(0).uniform(-9, 9, (50, 3))
    np.testing.assert_allclose(field.at(points), plane_waves(points), rtol=0, atol=2e-3)
    grid = Grid(2 * np.eye(3), (5, 4, 6), np.full(3, -1.3))
    part = field.box(grid, (1, 0, 2), (4, 4, 5))
    expected = field.at(grid.points((1, 0, 2), (4, 4, 5)).reshape(-1, 3)).reshape(part.shape)
    np.testing.assert_array_equal(part, expected)
    for order in (1, 2):
        with pytest.raises(ConfigurationError, match="no derivatives"):
            field.at(points, order=order)
