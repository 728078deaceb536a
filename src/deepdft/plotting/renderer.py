"""A picture of surfaces, balls and sticks: light, and what lies behind what.

Every pixel's fragments are sorted by depth and laid over each other, so transparent surfaces and
the atoms inside them are in the right order everywhere. It is small and needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.plotting.camera import Camera
from deepdft.plotting.fragments import Fragments, of_ball, of_mesh, of_stick
from deepdft.plotting.meshes import Mesh
from deepdft.plotting.structures import DrawnAtoms

_FINER = 2
"""Pixels that are computed for each one along its sides, for smooth edges."""

_MOST_LAYERS = 12
"""Fragments of a pixel that are laid over each other; those further back are hidden."""

_DEPTHS = 1 << 24
"""Depths that are told apart."""

_STICK = 0.11
_EDGE = 0.018
"""Radii of bonds and of a cell's edges, Å."""

_LIGHT = np.array([-0.45, 0.62, 0.64]) / np.linalg.norm([-0.45, 0.62, 0.64])
"""Direction to the lamp: to the right, up, to the viewer."""

_HALFWAY = (_LIGHT + np.eye(3)[2]) / np.linalg.norm(_LIGHT + np.eye(3)[2])
"""Between the lamp and the viewer: normals in which the lamp is mirrored."""

_STICK_COLOUR = np.array([0.62, 0.62, 0.64])
_EDGE_COLOUR = np.array([0.35, 0.35, 0.38])


@dataclass(frozen=True, eq=False)
class Surface:
    """A surface as it is drawn.

    Attributes:
        mesh: its triangles.
        colour: (3,) from 0 to 1, or one for each corner of the mesh, (n, 3).
        opacity: seen from the front; at its rim it is denser, like glass.
    """

    mesh: Mesh
    colour: FloatArray
    opacity: float = 0.45


def render(
    camera: Camera,
    surfaces: Sequence[Surface],
    atoms: DrawnAtoms | None = None,
    edges: FloatArray | None = None,
) -> FloatArray:
    """Return a picture on white, (height, width, 3) from 0 to 1.

    Args:
        camera: from where, and how many pixels.
        surfaces: what is drawn around the atoms.
        atoms: balls and sticks.
        edges: (n, 2, 3) thin lines, as those of a cell, Å.
    """
    width, height = camera.pixels
    fine = replace(camera, pixels=(_FINER * width, _FINER * height))
    opaque = [] if edges is None else [_line(fine, ends) for ends in edges]
    if atoms is not None:
        opaque += _atoms(fine, atoms)
    glass = [
        _lit(part, glass=True)
        for surface in surfaces
        for part in of_mesh(fine, surface.mesh, surface.colour, surface.opacity)
    ]
    solid = _nearest(_lit(Fragments.joined(opaque)))
    picture = _composed(Fragments.joined([solid, *glass]), fine.pixels[0] * fine.pixels[1])
    picture = picture.reshape(height, _FINER, width, _FINER, 3)
    result: FloatArray = picture.mean(axis=(1, 3))
    return result


def _atoms(camera: Camera, atoms: DrawnAtoms) -> list[Fragments]:
    sticks = [
        of_stick(
            camera, atoms.positions[pair], _STICK, 0.35 * atoms.colours[pair] + 0.65 * _STICK_COLOUR
        )
        for pair in atoms.bonds
    ]
    balls = [
        of_ball(camera, place, radius, colour)
        for place, radius, colour in zip(atoms.positions, atoms.radii, atoms.colours, strict=True)
    ]
    return [*sticks, *balls]


def _line(camera: Camera, ends: FloatArray) -> Fragments:
    return of_stick(camera, ends, _EDGE, np.broadcast_to(_EDGE_COLOUR, (2, 3)))


def _lit(fragments: Fragments, glass: bool = False) -> Fragments:
    """Return fragments with the light on them in their colours, their normals spent."""
    normal = fragments.normal / np.maximum(
        np.linalg.norm(fragments.normal, axis=1, keepdims=True), 1e-12
    )
    # What is seen from behind is lit from behind: the inside of a surface that is cut open.
    normal = np.where(normal[:, 2:] < 0, -normal, normal)
    facing = normal[:, 2]
    diffuse = np.maximum(normal @ _LIGHT, 0)
    shine = np.maximum(normal @ _HALFWAY, 0) ** 48
    light = 0.42 + 0.46 * diffuse + 0.16 * facing
    if not glass:
        # A dark rim sets atoms off from each other.
        light *= 0.55 + 0.45 * np.clip(facing / 0.45, 0, 1) ** 0.7
    colour = np.clip(fragments.colour * light[:, None] + 0.38 * shine[:, None], 0, 1)
    opacity = fragments.opacity
    if glass:
        rim = (1 - facing) ** 2.2
        opacity = opacity + (1 - opacity) * np.clip(0.75 * rim + 0.5 * shine, 0, 1)
    return replace(fragments, colour=colour, opacity=opacity, normal=np.empty((len(facing), 0)))


def _nearest(fragments: Fragments) -> Fragments:
    """Return of opaque fragments the foremost of every pixel."""
    order = _from_the_front(fragments)
    _, first = np.unique(fragments.pixel[order], return_index=True)
    return _chosen(fragments, order[first])


def _from_the_front(fragments: Fragments) -> IntegerArray:
    """Return the order of fragments by pixel, and within a pixel by depth, the foremost first."""
    depth = fragments.depth
    span = float(np.ptp(depth)) if len(depth) else 0.0
    behind = ((depth.max(initial=-np.inf) - depth) * (_DEPTHS / max(span, 1e-9))).astype(np.int64)
    result: IntegerArray = np.argsort(fragments.pixel * (2 * _DEPTHS) + behind)
    return result


def _composed(fragments: Fragments, count: int) -> FloatArray:
    """Lay the fragments of `count` pixels over white, the foremost on top; (count, 3)."""
    order = _from_the_front(fragments)
    pixels = fragments.pixel[order]
    starts = np.flatnonzero(np.diff(pixels, prepend=-1))
    lengths = np.diff(starts, append=len(pixels))
    result = np.zeros((count, 3))
    left = np.ones(count)
    for layer in range(min(_MOST_LAYERS, int(lengths.max(initial=0)))):
        some = order[starts[lengths > layer] + layer]
        where = fragments.pixel[some]
        part = left[where] * fragments.opacity[some]
        result[where] += part[:, None] * fragments.colour[some]
        left[where] -= part
    return result + left[:, None]


def _chosen(fragments: Fragments, which: IntegerArray) -> Fragments:
    names = ("pixel", "depth", "normal", "colour", "opacity")
    return Fragments(*(getattr(fragments, name)[which] for name in names))
