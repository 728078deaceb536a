"""Pictures: what is in front of what, what is where, and what they say."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from PIL import Image

from deepdft import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.plotting.camera import Camera, chosen_axes, framed, looking_along
from deepdft.plotting.differences import difference_of
from deepdft.plotting.figures import picture
from deepdft.plotting.meshes import isosurface
from deepdft.plotting.planes import lattice_plane, miller_indices, plane_of_atoms, values_at
from deepdft.plotting.renderer import Surface, render
from deepdft.plotting.scenes import Scene
from deepdft.plotting.section_pictures import line_picture, slice_picture
from deepdft.plotting.structures import bonds_between
from deepdft.plotting.surface_pictures import Panel, surface_picture

RED, BLUE = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def gaussians(atoms: Atoms, grid: Grid, width: float = 0.8) -> Density:
    offsets = grid.points()[..., None, :] - atoms.positions
    if atoms.pbc.all():
        scaled = offsets @ np.linalg.inv(atoms.cell[:])
        offsets = (scaled - np.rint(scaled)) @ atoms.cell[:]
    distances = np.linalg.norm(offsets, axis=-1)
    return Density(atoms, grid, np.exp(-((distances / width) ** 2)).sum(axis=-1))


@pytest.fixture(scope="module")
def water() -> Density:
    atoms = Atoms("OH2", [[0, 0, 0.12], [0, 0.76, -0.48], [0, -0.76, -0.48]])
    return gaussians(atoms, Grid.around(atoms, 0.2, 2.5))


@pytest.fixture(scope="module")
def salt() -> Density:
    atoms = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    return gaussians(atoms, Grid.of_cell(atoms, 0.25))


def straight_at(pixels: int = 80) -> Camera:
    return Camera(np.eye(3), np.zeros(3), (2.0, 2.0), (pixels, pixels))


def ball(centre: list[float], radius: float):
    """The mesh of a sphere, made from a field that is linear across it."""
    centre_ = np.array(centre)
    grid = Grid(4.0 * np.eye(3), (40, 40, 40), centre_ - 2)
    values = 5 - np.linalg.norm(grid.points() - centre_, axis=-1)
    return isosurface(Density(Atoms("He", [centre]), grid, values), 5 - radius)


def test_a_ball_covers_its_disc_and_nothing_else():
    image = render(straight_at(), [Surface(ball([0.5, 0.5, 0.0], 1.0), RED, 1.0)])
    y, x = np.mgrid[:80, :80]
    right, up = (x + 0.5) / 20 - 2, 2 - (y + 0.5) / 20
    aside = np.hypot(right - 0.5, up - 0.5)
    assert (image[aside > 1.08] == 1).all()
    assert (image[aside < 0.92][:, 1] < 0.9).all()
    assert (image[aside < 0.92][:, 0] > image[aside < 0.92][:, 1]).all()


def test_what_is_in_front_hides_what_is_behind_in_any_order():
    near, far = Surface(ball([0, 0, 1.0], 0.5), RED, 1.0), Surface(ball([0, 0, -1.0], 0.8), BLUE, 1)
    images = [render(straight_at(), order) for order in ([near, far], [far, near])]
    # But for pixels on an edge of two triangles, which of them counts being a matter of chance.
    assert np.abs(images[0] - images[1]).mean() < 1e-3
    middle, beside = images[0][40, 40], images[0][40, 40 + 13]
    assert middle[0] > middle[2]
    assert beside[2] > beside[0]


def test_glass_shows_what_is_behind():
    far = Surface(ball([0, 0, -1.0], 0.8), BLUE, 1.0)
    clear = render(straight_at(), [Surface(ball([0, 0, 1.0], 0.5), RED, 0.3), far])[44, 44]
    opaque = render(straight_at(), [Surface(ball([0, 0, 1.0], 0.5), RED, 1.0), far])[44, 44]
    assert clear[2] > opaque[2] + 0.1


def test_atoms_are_drawn_as_balls_of_their_colours_with_sticks_between(water):
    atoms = Scene.of(water).atoms
    assert sorted(map(tuple, np.sort(atoms.bonds, axis=1))) == [(0, 1), (0, 2)]
    camera = framed(looking_along([1, 0, 0]), atoms.positions, 200, margin=0.5)
    image = render(camera, [], atoms)
    for place, colour in zip(camera.projected(atoms.positions), atoms.colours, strict=True):
        shown = image[int(place[1]), int(place[0])]
        assert (shown < 1).any()
        assert np.argmax(shown) == np.argmax(colour) or np.ptp(colour) == 0
    middle = camera.projected(atoms.positions[:2].mean(axis=0)[None])[0]
    assert (image[int(middle[1]), int(middle[0])] < 0.95).any()


def test_a_crystal_has_atoms_at_all_its_faces_and_twelve_edges(salt):
    scene = Scene.of(salt)
    atoms = scene.atoms
    # A cell of rock salt with all its corners, edges and faces: 3 x 3 x 3 sites.
    assert len(atoms.positions) == 27
    assert len({tuple(place) for place in atoms.positions.round(6).tolist()}) == 27
    # Ions have no sticks; between carbons there are 16 in a cell and 1 more for each image.
    assert len(atoms.bonds) == 0
    diamond = bulk("C", "diamond", a=3.57, cubic=True)
    assert len(Scene.of(gaussians(diamond, Grid.of_cell(diamond, 0.4))).atoms.bonds) == 16
    twice = Scene.of(salt, (2, 1, 1)).atoms
    assert len(twice.positions) == 45
    edges = scene.edges
    assert np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1) == pytest.approx(np.full(12, 5.64))


def test_bonds_are_between_neighbours_and_not_beyond():
    places = np.array([[0, 0, 0], [1.54, 0, 0], [2.2, 0.9, 0], [6.0, 0, 0]])
    found = bonds_between(places, np.array([6, 6, 1, 6]))
    assert sorted(map(tuple, found.tolist())) == [(0, 1), (1, 2)]


def test_a_molecule_is_seen_with_its_long_side_level_and_a_view_can_be_chosen():
    line = np.array([[0.0, 0, 0], [0, 0, 1], [0, 0, 2], [0.3, 0, 3]])
    seen = line @ chosen_axes(line, periodic=False).T
    extent = np.ptp(seen, axis=0)
    assert extent[0] > 2.5 > extent[1]
    axes = looking_along([0, 0, 2])
    assert axes[2] == pytest.approx([0, 0, 1])
    assert axes @ axes.T == pytest.approx(np.eye(3))
    assert np.linalg.det(axes) == pytest.approx(1)
    with pytest.raises(ConfigurationError, match="not all zero"):
        looking_along([0, 0, 0])


def test_an_svg_says_value_share_scale_and_symbols(water):
    text = picture(surface_picture([Panel(water, 0.3, "water")], resolution=60), ".svg").decode()
    # Words are paths; matplotlib leaves each as a comment.
    words = " ".join(re.findall(r"<!-- (.*?) -->", text))
    assert "electron density isosurface at 0.3 e/Å³" in words
    assert "of the electrons inside" in words
    assert re.search(r"\bO\b", words)
    assert "1 Å" in words
    assert "water" in words
    assert (
        text
        == picture(surface_picture([Panel(water, 0.3, "water")], resolution=60), ".svg").decode()
    )
    with pytest.raises(ConfigurationError, match=r"not '\.gif'"):
        picture(surface_picture([Panel(water, 0.3)], resolution=60), ".gif")


def test_a_difference_is_two_lobes_with_their_words(water, salt):
    other = gaussians(water.atoms, water.grid, 1.0)
    difference = difference_of(water, other)
    panel = Panel(difference, 0.05, "", "more than before", "less than before")
    figure = surface_picture([Panel(water, 0.3), panel], resolution=60)
    words = " ".join(re.findall(r"<!-- (.*?) -->", picture(figure, ".svg").decode()))
    assert "+0.05 e/Å³: less" not in words
    assert "−0.05 e/Å³: less than before" in words
    with Image.open(io.BytesIO(picture(figure, ".png", 60))) as image:
        assert image.size[0] == pytest.approx(2 * 3.5 * 60, abs=2)
    sum_back = difference_of(difference, difference)
    assert np.abs(sum_back.values).max() == 0


@pytest.mark.parametrize(
    ("text", "indices"),
    [("001", (0, 0, 1)), ("1-10", (1, -1, 0)), ("1 0 12", (1, 0, 12)), ("-1,2,3", (-1, 2, 3))],
)
def test_miller_indices(text, indices):
    assert miller_indices(text) == indices


@pytest.mark.parametrize("text", ["", "01", "1111", "abc", "1 2"])
def test_no_miller_indices(text):
    with pytest.raises(ConfigurationError, match="three indices"):
        miller_indices(text)


def test_a_lattice_plane_is_at_right_angles_and_holds_most_atoms(salt):
    plane = lattice_plane(salt, (1, 1, 0))
    assert plane.axes[2] == pytest.approx(np.array([1, 1, 0]) / np.sqrt(2))
    heights = plane.seen(Scene.of(salt).atoms.positions)[:, 2]
    assert (np.abs(heights) < 1e-6).sum() >= 9
    moved = lattice_plane(salt, (1, 1, 0), 0.5)
    assert (moved.centre - plane.centre) @ plane.axes[2] == pytest.approx(0.5)
    with pytest.raises(ConfigurationError, match="000"):
        lattice_plane(salt, (0, 0, 0))


def test_the_plane_of_atoms_holds_them_and_values_end_with_the_box(water):
    plane = plane_of_atoms(water)
    assert plane.seen(water.atoms.positions)[:, 2] == pytest.approx(np.zeros(3), abs=1e-9)
    points = plane.points(0.2)
    values = values_at(water, points)
    exact = np.exp(
        -((np.linalg.norm(points[..., None, :] - water.atoms.positions, axis=-1) / 0.8) ** 2)
    ).sum(axis=-1)
    inside = np.isfinite(values)
    assert values[inside] == pytest.approx(exact[inside], abs=3e-3)
    assert np.isnan(values_at(water, np.array([[9.0, 0, 0]]))).all()


def test_slices_and_lines_name_quantity_unit_and_atoms(water, salt):
    figure = slice_picture(salt, lattice_plane(salt, (0, 0, 1)))
    words = " ".join(re.findall(r"<!-- (.*?) -->", picture(figure, ".svg").decode()))
    assert "electron density / (e/Å³)" in words
    assert "Na" in words
    ends = water.atoms.positions[:2]
    text = picture(line_picture([("a", water), ("b", water)], *ends), ".svg").decode()
    words = " ".join(re.findall(r"<!-- (.*?) -->", text))
    assert "distance / Å" in words
    assert re.search(r"\bO\b", words)
    with pytest.raises(ConfigurationError, match="no length"):
        line_picture([("a", water)], ends[0], ends[0])


def test_a_figure_shows_itself_in_a_notebook(water):
    shown = slice_picture(water, plane_of_atoms(water))._repr_png_()
    with Image.open(io.BytesIO(shown)) as image:
        assert image.size[0] == pytest.approx(3.5 * 150, abs=2)
