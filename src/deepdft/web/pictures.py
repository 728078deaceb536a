"""Pictures that the server draws itself, for browsers without WebGL and for programs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.plotting.camera import framed
from deepdft.plotting.meshes import Mesh
from deepdft.plotting.png import png_of
from deepdft.plotting.renderer import Surface, render
from deepdft.web.drawings import Drawing, meshes_of
from deepdft.web.results import SIGNED, FieldName, Result

_RED_BLUE = (
    "67001f", "b2182b", "d6604d", "f4a582", "fddbc7", "f7f7f7", "d1e5f0", "92c5de", "4393c3",
    "2166ac", "053061",
)  # fmt: skip
"""Colours of values from negative to positive, as the page has them."""

_CLOUD = "5c9ee0"
_DOUBT = "d98e04"
_LOBES = ("2166ac", "d55e00")
"""Of surfaces at positive and at negative values."""


@dataclass(frozen=True)
class Look:
    """From where a picture is taken.

    Attributes:
        turn: to the right, degrees from a view that shows much.
        tilt: upwards, degrees.
        zoom: larger than what shows all of it.
        pixels: of the longer side.
        opacity: of the surfaces, from 0 to 1.
    """

    turn: float = 0.0
    tilt: float = 0.0
    zoom: float = 1.0
    pixels: int = 640
    opacity: float = 0.5


def picture(result: Result, drawing: Drawing, look: Look | None = None) -> bytes:
    """Return a picture of an isosurface with the atoms in it, a PNG on white.

    Args:
        result: what is shown.
        drawing: the surface.
        look: from where.

    Raises:
        Refusal: if there is no such field.
    """
    look = look or Look()
    meshes = meshes_of(result, drawing)
    scene = result.scene_of(drawing.cells)
    edges = scene.edges
    extent = np.concatenate(
        [
            scene.atoms.positions,
            *(mesh.vertices for mesh in meshes),
            *([] if edges is None else edges),
        ]
    )
    # What is nearer is rendered larger and cut out of the middle.
    camera = framed(_turned(scene.axes, look), extent, round(look.pixels * look.zoom))
    surfaces = [Surface(mesh, _paint(drawing.name, mesh), look.opacity) for mesh in meshes]
    return png_of(_middle(render(camera, surfaces, scene.atoms, edges), look.zoom))


def _middle(image: FloatArray, zoom: float) -> FloatArray:
    """Return the middle of an image, its sides divided by `zoom`."""
    height, width = image.shape[:2]
    rows, columns = max(1, round(height / zoom)), max(1, round(width / zoom))
    top, left = (height - rows) // 2, (width - columns) // 2
    return image[top : top + rows, left : left + columns]


def _turned(axes: FloatArray, look: Look) -> FloatArray:
    """Return the axes of a camera after the structure was turned before it."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("yx", [look.turn, look.tilt], degrees=True)
    result: FloatArray = turn.inv().as_matrix().T @ axes
    return result


def _paint(name: FieldName, mesh: Mesh) -> FloatArray:
    """Return the colour of a mesh, or of each of its corners."""
    if mesh.values is not None:
        stops = np.array([_rgb(colour) for colour in _RED_BLUE])
        limit = max(float(np.abs(mesh.values).max(initial=0.0)), 1e-9)
        places = (mesh.values / limit + 1) / 2 * (len(stops) - 1)
        known = np.arange(len(stops))
        return np.stack([np.interp(places, known, stops[:, c]) for c in range(3)], axis=1)
    if name in SIGNED:
        return _rgb(_LOBES[0] if mesh.level > 0 else _LOBES[1])
    return _rgb(_DOUBT if name == "error" else _CLOUD)


def _rgb(colour: str) -> FloatArray:
    return np.array([int(colour[at : at + 2], 16) for at in (0, 2, 4)]) / 255
