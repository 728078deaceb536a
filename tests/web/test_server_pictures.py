"""Pictures that the server draws, cells of a crystal, and molecules in large cells."""

from __future__ import annotations

import io

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule

from deepdft.density import Density, Grid
from deepdft.plotting.scenes import Scene
from deepdft.web.drawings import Drawing, meshes_of, slice_of
from deepdft.web.pictures import Look, picture
from deepdft.web.problems import Refusal
from deepdft.web.results import Result
from deepdft.web.structures import drawn_structure
from tests.web.test_predictions import unpacked


def blobs(atoms, shape, width=0.6):
    """A density of one Gaussian an atom, periodic."""
    grid = Grid(atoms.cell.array, shape)
    values = np.zeros(shape)
    points = grid.points().reshape(-1, 3)
    for place in atoms.positions:
        offsets = np.linalg.solve(atoms.cell.array.T, (points - place).T).T
        offsets -= np.rint(offsets)
        values += np.exp(-((offsets @ atoms.cell.array) ** 2).sum(axis=1) / width**2).reshape(shape)
    return Density(atoms, grid, values)


@pytest.fixture(scope="module")
def crystal():
    atoms = bulk("NaCl", "rocksalt", a=5.6, cubic=True)
    density = blobs(atoms, (14, 14, 14))
    fields = {"density": density, "deformation": density.minus(blobs(atoms[:4], (14, 14, 14)))}
    return Result("salt", atoms, fields=fields)


@pytest.fixture(scope="module")
def boxed():
    """A molecule across the corner of a large cell."""
    atoms = molecule("H2O")
    atoms.set_cell([9.0, 9.0, 9.0])
    atoms.pbc = True
    atoms.wrap()
    return Result("water", atoms, fields={"density": blobs(atoms, (18, 18, 18))})


def read(content):
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(content))).astype(int)


def test_a_picture_shows_the_surface_on_white(boxed):
    image = read(picture(boxed, Drawing(0.3), Look(pixels=120)))
    assert max(image.shape[:2]) == 120
    assert (image[0, 0] == 255).all()
    assert ((image < 250).any(axis=2)).mean() > 0.3


def test_it_can_be_turned_and_come_nearer(boxed):
    looks = (Look(pixels=100), Look(turn=60, pixels=100), Look(zoom=2, pixels=100))
    images = [read(picture(boxed, Drawing(0.3), look)) for look in looks]
    assert images[0].shape != images[1].shape or (images[0] != images[1]).any()
    assert abs(max(images[2].shape) - 100) <= 1
    covered = [(image < 250).any(axis=2).mean() for image in images]
    assert covered[2] > covered[0]


def test_signs_have_their_colours(crystal):
    level = 0.5
    image = read(picture(crystal, Drawing(level, "deformation"), Look(pixels=100, opacity=1)))
    red, blue = image[..., 0], image[..., 2]
    assert (blue - red > 40).any()


def test_a_molecule_across_a_corner_is_whole(boxed):
    assert not boxed.scene.is_crystal
    drawn = drawn_structure(boxed.scene)
    assert sorted(len(atom.bonds) for atom in drawn.atoms) == [1, 1, 2]
    (mesh,) = meshes_of(boxed, Drawing(0.3))
    places = np.array([(atom.x, atom.y, atom.z) for atom in drawn.atoms])
    # The surface is around the atoms as they are drawn, and closed.
    assert np.abs(mesh.vertices.mean(axis=0) - places.mean(axis=0)).max() < 0.3
    edges = np.sort(mesh.faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()


def test_a_slice_follows_the_window(boxed):
    drawn = drawn_structure(boxed.scene)
    oxygen = next(atom for atom in drawn.atoms if atom.element == "O")
    low = boxed.scene.window[2][0]
    about, rest = unpacked(slice_of(boxed, "density", 2, oxygen.z / 9.0 - low))
    values = np.frombuffer(rest, "<f4").reshape(about["shape"])
    row, column = np.unravel_index(values.argmax(), values.shape)
    steps = np.array(about["steps"])
    place = about["origin"] + row * steps[0] + column * steps[1]
    assert place == pytest.approx([oxygen.x, oxygen.y, oxygen.z], abs=0.5)


def test_a_slice_through_several_cells_repeats_and_is_closed(crystal):
    about, rest = unpacked(slice_of(crystal, "density", 2, 0.75, (2, 1, 2)))
    values = np.frombuffer(rest, "<f4").reshape(about["shape"])
    assert values.shape == (29, 15)
    assert (values[:14] == values[14:28]).all()
    assert (values[0] == values[-1]).all()
    assert (values[:, 0] == values[:, -1]).all()
    # Three quarters of two cells are one and a half.
    assert about["origin"] == pytest.approx([0, 0, 1.5 * 5.6])
    density = crystal.fields["density"]
    assert values[:14, :14] == pytest.approx(density.values[:, :, 7], abs=1e-6)


def test_where_one_sees_much_is_told(crystal, boxed):
    for result in (crystal, boxed):
        look = np.array(drawn_structure(result.scene).look)
        assert look @ look.T == pytest.approx(np.eye(3), abs=1e-5)
        assert np.linalg.det(look) == pytest.approx(1, abs=1e-5)
    # Water lies in the picture: its normal points to the viewer.
    first, second, third = boxed.scene.places
    normal = np.cross(second - first, third - first)
    assert abs(look[2] @ normal) > 0.8 * np.linalg.norm(normal)


def test_several_cells(crystal):
    drawn = drawn_structure(crystal.scene_of((2, 2, 1)))
    # The atoms on the faces belong to both sides.
    one = drawn_structure(crystal.scene)
    assert (len(one.atoms), len(drawn.atoms)) == (27, 75)
    assert drawn.cells == [2, 2, 1]
    single, several = (
        sum(mesh.area for mesh in meshes_of(crystal, Drawing(0.5, cells=cells)))
        for cells in ((1, 1, 1), (2, 2, 1))
    )
    extent = meshes_of(crystal, Drawing(0.5, cells=(2, 2, 1)))[0].vertices.max(axis=0)
    assert extent == pytest.approx([11.2, 11.2, 5.6], abs=1e-6)
    assert several == pytest.approx(4 * single, rel=1e-3)


def test_more_atoms_than_can_be_drawn_are_refused():
    atoms = Atoms(
        "H500", np.random.default_rng(1).uniform(0, 20, (500, 3)), cell=[20] * 3, pbc=True
    )
    with pytest.raises(Refusal, match="show fewer") as refusal:
        drawn_structure(Scene.of_structure(atoms, (3, 3, 3)))
    assert refusal.value.status == 413


def test_the_addresses_answer(visitor, water):
    query = {"level": 0.1, "pixels": 100, "turn": 30, "colour": "error"}
    answer = visitor.get(f"/api/jobs/{water}/picture", params=query)
    assert answer.headers["content-type"] == "image/png"
    assert max(read(answer.content).shape[:2]) == 100
    # Nothing repeats in a molecule.
    found = visitor.get(f"/api/jobs/{water}/structure", params={"cells": "2x2x2"}).json()
    assert (len(found["atoms"]), found["cells"]) == (3, [1, 1, 1])
    for query in ({"cells": "9x1x1"}, {"cells": "2x2"}):
        assert visitor.get(f"/api/jobs/{water}/structure", params=query).status_code == 422
    assert visitor.get(f"/api/jobs/{water}/picture", params={"level": -1}).status_code == 422
