"""Isosurfaces against spheres and planes known in closed form, in skewed and periodic boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from deepdft import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.plotting.averages import averaged
from deepdft.plotting.enclosed import Enclosed
from deepdft.plotting.meshes import ONE_CELL, interpolated, isosurface, lobes

RADIUS = 1.3
SKEWED = np.array([[5.0, 0.0, 0.0], [1.5, 5.0, 0.0], [-1.0, 0.8, 5.5]])


def gaussian(cell: np.ndarray, shape: tuple[int, int, int], centre: np.ndarray, pbc: bool):
    """A Gaussian around `centre` whose nearest image counts; exp(-r^2)."""
    grid = Grid(cell, shape)
    offsets = (grid.points() - centre) @ np.linalg.inv(cell)
    if pbc:
        offsets -= np.rint(offsets)
    distances = np.linalg.norm(offsets @ cell, axis=-1)
    return Density(Atoms("He", [centre], cell=cell, pbc=pbc), grid, np.exp(-(distances**2)))


@pytest.mark.parametrize("cell", [5.2 * np.eye(3), SKEWED, SKEWED[[1, 0, 2]]])
def test_a_sphere_has_its_radius_area_and_volume(cell):
    density = gaussian(cell, (40, 44, 48), cell.sum(axis=0) / 2, pbc=False)
    mesh = isosurface(density, np.exp(-(RADIUS**2)))
    offsets = mesh.vertices - cell.sum(axis=0) / 2
    # Interpolated: far closer than the 0.12 Å between points.
    assert np.abs(np.linalg.norm(offsets, axis=1) - RADIUS).max() < 4e-3
    assert mesh.area == pytest.approx(4 * np.pi * RADIUS**2, rel=5e-3)
    # The sign of the volume shows that the triangles face outwards, in a left-handed cell too.
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=5e-3)
    assert ((offsets / RADIUS) * mesh.normals).sum(axis=1).min() > 0.99


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_few_points_are_enough_for_a_smooth_sphere(sign):
    density = gaussian(SKEWED, (18, 18, 18), SKEWED.sum(axis=0) / 2, pbc=False)
    density = replace(density, values=sign * density.values)
    rough, smooth = (
        isosurface(density, sign * np.exp(-(RADIUS**2)), smooth=smooth) for smooth in (False, True)
    )
    offsets = smooth.vertices - SKEWED.sum(axis=0) / 2
    wrong = np.abs(np.linalg.norm(offsets, axis=1) - RADIUS).max()
    before = np.abs(np.linalg.norm(rough.vertices - SKEWED.sum(axis=0) / 2, axis=1) - RADIUS).max()
    assert wrong < 4e-3
    assert wrong < before / 4
    assert len(smooth.faces) > 10 * len(rough.faces)
    assert smooth.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=5e-3)
    assert ((offsets / RADIUS) * smooth.normals).sum(axis=1).min() > 0.99


def test_a_smooth_surface_reaches_the_faces_of_a_periodic_cell():
    density = gaussian(SKEWED, (20, 20, 20), np.zeros(3), pbc=True)
    mesh = isosurface(density, float(np.exp(-(RADIUS**2))), smooth=True)
    assert mesh.area == pytest.approx(4 * np.pi * RADIUS**2, rel=6e-3)


def test_a_negative_surface_faces_outwards_too():
    density = gaussian(SKEWED, (40, 40, 40), SKEWED.sum(axis=0) / 2, pbc=False)
    mirrored = replace(density, values=-density.values)
    mesh = isosurface(mirrored, -np.exp(-(RADIUS**2)))
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=5e-3)
    offsets = mesh.vertices - SKEWED.sum(axis=0) / 2
    assert ((offsets / RADIUS) * mesh.normals).sum(axis=1).min() > 0.99


def test_a_sphere_at_the_corner_of_a_periodic_cell_is_whole():
    density = gaussian(SKEWED, (36, 37, 38), np.zeros(3), pbc=True)
    level = float(np.exp(-(RADIUS**2)))
    pieces = isosurface(density, level)
    assert pieces.area == pytest.approx(4 * np.pi * RADIUS**2, rel=6e-3)
    assert pieces.vertices @ np.linalg.inv(SKEWED) == pytest.approx(
        np.clip(pieces.vertices @ np.linalg.inv(SKEWED), 0, 1), abs=1e-12
    )
    moved = isosurface(density, level, window=((-0.5, 0.5),) * 3)
    assert np.abs(np.linalg.norm(moved.vertices, axis=1) - RADIUS).max() < 6e-3
    assert moved.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=6e-3)


def test_n_intervals_when_periodic_and_one_less_when_not():
    values = np.broadcast_to(np.array([0.0, 1.0, 2.0, 3.0])[:, None, None], (4, 3, 3))
    for pbc, last in ((True, 4.0), (False, 3.0)):
        atoms = Atoms(cell=[4, 3, 3], pbc=[pbc] * 3)
        mesh = isosurface(Density(atoms, Grid(np.diag([4.0, 3, 3]), (4, 3, 3)), values), 1.5)
        planes = np.unique(mesh.vertices[:, 0].round(9))
        assert planes.tolist() == ([1.5, 3.5] if pbc else [1.5])
        assert mesh.vertices[:, 0].max() < last
        assert mesh.vertices[:, 1].max() == (3.0 if pbc else 2.0)


def test_colours_are_those_of_the_second_field():
    density = gaussian(SKEWED, (30, 30, 30), np.zeros(3), pbc=True)
    grid = density.grid
    along = np.cos(2 * np.pi * (grid.points() @ np.linalg.inv(SKEWED))[..., 0])
    mesh = isosurface(density, 0.3, colour=replace(density, values=along))
    exact = np.cos(2 * np.pi * (mesh.vertices @ np.linalg.inv(SKEWED))[:, 0])
    assert mesh.values == pytest.approx(exact, abs=6e-3)
    with pytest.raises(ConfigurationError, match="30 x 30 x 30 points, its colours are on 20 x"):
        isosurface(density, 0.3, colour=gaussian(SKEWED, (20, 30, 30), np.zeros(3), pbc=True))


def test_linear_interpolation_folds_back_or_stays_in_the_box():
    density = gaussian(SKEWED, (9, 8, 7), np.zeros(3), pbc=True)
    points = density.grid.points().reshape(-1, 3)
    assert interpolated(density, points) == pytest.approx(density.values.ravel())
    shift = np.array([2, -1, 1]) @ SKEWED
    assert interpolated(density, points + shift) == pytest.approx(density.values.ravel())
    single = gaussian(SKEWED, (9, 8, 7), np.zeros(3), pbc=False)
    far = interpolated(single, np.array([[-99.0, -99.0, -99.0]]))
    assert far == pytest.approx(single.values[0, 0, 0])


def test_averages_keep_the_integral_and_the_surface():
    density = gaussian(SKEWED, (50, 47, 53), np.zeros(3), pbc=True)
    values, grid = averaged(density.values, density.grid, 20_000)
    assert values.size <= 20_000
    assert min(grid.shape) > 20
    assert values.sum() * grid.voxel_volume == pytest.approx(density.n_electrons, rel=1e-12)
    blocks, _ = averaged(np.arange(64.0).reshape(4, 4, 4), Grid(np.eye(3), (4, 4, 4)), 8)
    exact = np.arange(64.0).reshape(2, 2, 2, 2, 2, 2).mean(axis=(1, 3, 5))
    assert blocks == pytest.approx(exact)
    coarse = isosurface(density, np.exp(-(RADIUS**2)), window=((-0.5, 0.5),) * 3, max_points=20_000)
    assert np.linalg.norm(coarse.vertices, axis=1) == pytest.approx(RADIUS, abs=0.02)


def test_pieces_are_the_whole_and_none_is_too_large():
    density = gaussian(SKEWED, (30, 30, 30), np.zeros(3), pbc=True)
    mesh = isosurface(density, 0.3, colour=density)
    pieces = list(mesh.pieces(500))
    assert len(pieces) > 1
    assert max(len(piece.vertices) for piece in pieces) <= 500
    assert sum(piece.area for piece in pieces) == pytest.approx(mesh.area)
    together = np.concatenate([piece.vertices[piece.faces] for piece in pieces])
    assert together == pytest.approx(mesh.vertices[mesh.faces])
    assert np.concatenate([piece.values for piece in pieces]) == pytest.approx(0.3, abs=1e-6)


def test_negative_lobes_only_where_there_are_some():
    density = gaussian(SKEWED, (30, 30, 30), np.zeros(3), pbc=True)
    assert [mesh.level for mesh in lobes(density, 0.2)] == [0.2]
    ripples = replace(density, values=density.values - 0.005)
    assert [mesh.level for mesh in lobes(ripples, 0.2)] == [0.2]
    signed = replace(density, values=density.values - 0.5)
    assert [mesh.level for mesh in lobes(signed, 0.2)] == [0.2, -0.2]
    assert all(len(mesh.faces) for mesh in lobes(signed, 0.2))


def test_no_surface_is_an_empty_mesh_and_no_window_a_sentence():
    density = gaussian(SKEWED, (20, 20, 20), np.zeros(3), pbc=True)
    empty = isosurface(density, 7.0)
    assert len(empty.faces) == 0
    assert empty.area == 0
    assert list(empty.pieces()) == []
    with pytest.raises(ConfigurationError, match=r"from 0\.5 to 0\.5 of the box is empty"):
        isosurface(density, 0.3, window=(*ONE_CELL[:2], (0.5, 0.5)))


def test_shares_inside_are_those_of_a_gaussian():
    density = gaussian(9.0 * np.eye(3), (60, 60, 60), np.full(3, 4.5), pbc=False)
    enclosed = Enclosed(density)
    # Inside the radius r of exp(-r^2): erf(r) - 2 r exp(-r^2) / sqrt(pi).
    from scipy.special import erf

    exact = erf(RADIUS) - 2 * RADIUS * np.exp(-(RADIUS**2)) / np.sqrt(np.pi)
    level = float(np.exp(-(RADIUS**2)))
    assert enclosed.share(level) == pytest.approx(exact, abs=8e-3)
    assert enclosed.electrons(level) == pytest.approx(exact * np.pi**1.5, rel=1e-2)
    assert enclosed.level(enclosed.share(level)) == pytest.approx(level, rel=0.02)
    assert enclosed.share(2.0) == 0
    assert enclosed.share(-1.0) == 1
    with pytest.raises(ConfigurationError, match="between 0 and 1, not 98"):
        enclosed.level(98)
