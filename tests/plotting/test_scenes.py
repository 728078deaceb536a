"""What is drawn of molecules that faces cut, of molecular crystals, and of other crystals."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft import Density, Grid
from deepdft.plotting.enclosed import DEFAULT_LEVEL
from deepdft.plotting.levels import chosen_level
from deepdft.plotting.meshes import isosurface
from deepdft.plotting.planes import plane_of_atoms
from deepdft.plotting.scenes import Scene

LEVEL = 0.3


def blobs(atoms: Atoms, spacing: float = 0.2) -> Density:
    """A density of one Gaussian an atom, exp(-(r / 0.6)^2), with its nearest image."""
    grid = Grid.of_cell(atoms, spacing)
    values = np.zeros(grid.shape)
    for place in atoms.positions:
        offsets = (grid.points() - place) @ np.linalg.inv(atoms.cell.array)
        offsets -= np.rint(offsets)
        values += np.exp(-(((offsets @ atoms.cell.array) / 0.6) ** 2).sum(axis=-1))
    return Density(atoms, grid, values)


def dry_ice() -> Atoms:
    """Four molecules of CO2 in a cell, at its corner and the middles of its faces."""
    half = 0.5 * 5.6
    centres = [(0, 0, 0), (half, half, 0), (half, 0, half), (0, half, half)]
    axes = 1.16 / np.sqrt(3) * np.array([(1, 1, 1), (-1, 1, -1), (-1, -1, 1), (1, -1, -1)])
    places = [np.array(c) + s * a for c, a in zip(centres, axes, strict=True) for s in (0, 1, -1)]
    atoms = Atoms("COO" * 4, places, cell=[5.6] * 3, pbc=True)
    atoms.wrap()
    return atoms


def is_closed(faces: np.ndarray) -> bool:
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    return bool((np.unique(edges, axis=0, return_counts=True)[1] == 2).all())


def in_a_cell(length: float) -> Atoms:
    """A molecule across the corner of a cubic cell."""
    atoms = molecule("CH3OH", cell=[length] * 3, pbc=True)
    atoms.wrap()
    return atoms


@pytest.mark.parametrize("length", [6.0, 10.0])
def test_a_molecule_across_a_corner_is_whole(length):
    density = blobs(in_a_cell(length))
    scene = Scene.of(density)
    exact = molecule("CH3OH").get_all_distances()
    for places in (scene.atoms.positions, scene.places):
        found = np.linalg.norm(places[:, None] - places[None], axis=2)
        assert found == pytest.approx(exact, abs=1e-9)
    assert len(scene.atoms.bonds) == 5
    (mesh,) = scene.lobes(density, LEVEL)
    assert is_closed(mesh.faces)
    assert np.abs(mesh.vertices.mean(axis=0) - scene.places.mean(axis=0)).max() < 0.4
    # None is lost: the same area as that of the pieces in one cell, wherever it begins.
    assert mesh.area == pytest.approx(isosurface(density, LEVEL).area, rel=1e-3)


def test_a_molecule_in_a_large_cell_is_seen_as_one():
    small, large = blobs(in_a_cell(6.0), 0.3), blobs(in_a_cell(14.0), 0.4)
    assert Scene.of(large).edges is None
    assert chosen_level(large) == DEFAULT_LEVEL
    assert Scene.of(small).edges is not None
    plane = plane_of_atoms(large)
    heights = plane.seen(Scene.of(large).places)[:, 2]
    assert (np.abs(heights) < 0.05).sum() >= 4
    assert max(plane.half_size) < 4


def test_a_molecular_crystal_consists_of_whole_molecules():
    atoms = dry_ice()
    density = blobs(atoms)
    scene = Scene.of(density)
    assert sorted(scene.atoms.indices) == list(range(12))
    assert len(scene.atoms.bonds) == 8
    assert sorted(len(partners) for partners in scene.atoms.partners) == [1] * 8 + [2] * 4
    mesh = scene.surface(density, LEVEL)
    assert is_closed(mesh.faces)
    # Every piece lies around its own atoms, and all of them are there.
    nearest = np.linalg.norm(mesh.vertices[:, None] - scene.atoms.positions[None], axis=2)
    assert nearest.min(axis=1).max() < 0.9
    assert set(nearest.argmin(axis=1)) == set(range(12))
    assert mesh.area == pytest.approx(isosurface(density, LEVEL).area, rel=1e-3)
    # In three cells there are three times as many.
    more = Scene.of(density, (3, 1, 1))
    assert len(more.atoms.indices) == 36
    assert more.surface(density, LEVEL).area == pytest.approx(3 * mesh.area, rel=1e-3)


def test_ions_are_repeated_and_molecules_between_them_are_whole():
    # Sodium at the corners, a molecule across a face.
    carbonate = Atoms("CO3", [(0, 0, 0), (1.28, 0, 0), (-0.64, 1.11, 0), (-0.64, -1.11, 0)])
    carbonate.translate([5.2, 2.6, 2.6])
    atoms = Atoms("Na", cell=[5.2] * 3, pbc=True) + carbonate
    atoms.wrap()
    drawn = Scene.of_structure(atoms).atoms
    assert np.bincount(drawn.numbers)[[6, 8, 11]].tolist() == [1, 3, 8]
    assert len(drawn.bonds) == 3


def test_a_network_ends_at_the_faces_of_its_cell():
    atoms = bulk("C", "diamond", a=3.57, cubic=True)
    density = blobs(atoms)
    scene = Scene.of(density)
    assert len(scene.atoms.indices) == 18
    mesh = scene.surface(density, LEVEL)
    places = mesh.vertices / 3.57
    assert (places.min(), places.max()) == pytest.approx((0, 1))
    assert mesh.area == isosurface(density, LEVEL).area


def test_no_atoms_no_scene_to_speak_of():
    grid = Grid(4.0 * np.eye(3), (8, 8, 8))
    scene = Scene.of(Density(Atoms(cell=grid.cell, pbc=True), grid, np.ones(grid.shape)))
    assert len(scene.atoms.positions) == 0
    assert scene.edges is None
    assert len(scene.surface(Density(Atoms(), grid, np.ones(grid.shape)), 0.5).faces) == 0
