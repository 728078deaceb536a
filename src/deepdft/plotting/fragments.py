"""Surfaces, balls and sticks as fragments: which pixels they cover, and how far in front."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.plotting.camera import Camera
from deepdft.plotting.meshes import Mesh

_CHUNK = 1 << 21
"""Pixels that are looked at in one step."""


@dataclass(frozen=True, eq=False)
class Fragments:
    """What covers pixels.

    Attributes:
        pixel: (n,) row times width plus column.
        depth: (n,) towards the viewer, in pixels.
        normal: (n, 3) to the right, up and to the viewer; of any length.
        colour: (n, 3) from 0 to 1.
        opacity: (n,) from 0 to 1.
    """

    pixel: IntegerArray
    depth: FloatArray
    normal: FloatArray
    colour: FloatArray
    opacity: FloatArray

    @staticmethod
    def joined(parts: list[Fragments]) -> Fragments:
        """Return all of them as one."""
        if not parts:
            nothing = np.empty((0, 3))
            return Fragments(np.empty(0, np.int64), np.empty(0), nothing, nothing, np.empty(0))
        names = ("pixel", "depth", "normal", "colour", "opacity")
        return Fragments(*(np.concatenate([getattr(p, name) for p in parts]) for name in names))


def of_mesh(camera: Camera, mesh: Mesh, colours: FloatArray, opacity: float) -> Iterator[Fragments]:
    """Yield the fragments of a surface.

    Args:
        camera: from where.
        mesh: the surface.
        colours: (3,) or one for each corner, (n, 3).
        opacity: of the surface seen from the front.
    """
    corners = camera.projected(mesh.vertices)
    normals = mesh.normals @ camera.axes.T
    at_corners = np.broadcast_to(colours, (len(corners), 3))
    triangles = corners[mesh.faces]
    first = np.floor(triangles[:, :, :2].min(axis=1)).astype(np.int64)
    extent = np.ceil(triangles[:, :, :2].max(axis=1)).astype(np.int64) - first
    sizes = 1 << np.ceil(np.log2(np.maximum(extent.max(axis=1, initial=1), 1))).astype(np.int64)
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        step = max(1, _CHUNK // int(size) ** 2)
        for begin in range(0, len(members), step):
            chosen = members[begin : begin + step]
            x, y, which, weights = _covered(camera, triangles[chosen], first[chosen], int(size))
            faces = mesh.faces[chosen][which]
            yield Fragments(
                y * camera.pixels[0] + x,
                (triangles[chosen][which, :, 2] * weights).sum(axis=1),
                (normals[faces] * weights[:, :, None]).sum(axis=1),
                (at_corners[faces] * weights[:, :, None]).sum(axis=1),
                np.full(len(x), opacity),
            )


def of_ball(camera: Camera, centre: FloatArray, radius: float, colour: FloatArray) -> Fragments:
    """Return the fragments of an opaque ball at a place (3,), Å, of a radius in Å."""
    middle = camera.projected(centre[None])[0]
    size = radius * camera.scale
    x, y = _pixels(camera, middle[:2] - size, middle[:2] + size)
    dx, dy = x + 0.5 - middle[0], middle[1] - (y + 0.5)
    square = size**2 - dx**2 - dy**2
    kept = square > 0
    height = np.sqrt(square[kept])
    normal = np.stack([dx[kept], dy[kept], height], axis=1) / size
    return _opaque(camera, x[kept], y[kept], middle[2] + height, normal, colour)


def of_stick(camera: Camera, ends: FloatArray, radius: float, colours: FloatArray) -> Fragments:
    """Return the fragments of an opaque stick with open ends.

    Args:
        camera: from where.
        ends: (2, 3) Å.
        radius: Å.
        colours: (2, 3) of its two halves.
    """
    a, b = camera.projected(ends)
    size = radius * camera.scale
    axis = (b - a) * [1, -1, 1]
    length = float(np.linalg.norm(axis)) or 1.0
    axis /= length
    low, high = np.minimum(a, b)[:2] - size, np.maximum(a, b)[:2] + size
    x, y = _pixels(camera, low, high)
    # A line of sight (dx, dy, z) meets the cylinder where its part across the axis has `size`.
    dx, dy = x + 0.5 - a[0], a[1] - (y + 0.5)
    along = dx * axis[0] + dy * axis[1]
    across = 1 - axis[2] ** 2
    if across < 1e-9:
        return Fragments.joined([])
    half = -axis[2] * along
    rest = dx**2 + dy**2 - along**2 - size**2
    inside = half**2 - across * rest
    depth = (-half + np.sqrt(np.maximum(inside, 0))) / across
    place = (along + axis[2] * depth) / length
    kept = (inside > 0) & (place >= 0) & (place <= 1)
    offsets = np.stack([dx, dy, depth], axis=1)[kept]
    normal = (offsets - place[kept, None] * length * axis) / size
    colour = np.where((place[kept] < 0.5)[:, None], colours[0], colours[1])
    return _opaque(camera, x[kept], y[kept], a[2] + depth[kept], normal, colour)


def _covered(
    camera: Camera, triangles: FloatArray, first: IntegerArray, size: int
) -> tuple[IntegerArray, IntegerArray, IntegerArray, FloatArray]:
    """Return the pixels in triangles: column, row, whose, and the weights of its corners."""
    offsets = np.arange(size)
    x = first[:, 0, None, None] + offsets[None, None, :]
    y = first[:, 1, None, None] + offsets[None, :, None]
    shape = (len(triangles), size, size)
    px, py = np.broadcast_to(x + 0.5, shape), np.broadcast_to(y + 0.5, shape)
    a, b, c = (triangles[:, corner, :2, None, None] for corner in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    area = np.where(area == 0, np.inf, area)
    second = ((px - a[:, 0]) * (c[:, 1] - a[:, 1]) - (py - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    third = ((b[:, 0] - a[:, 0]) * (py - a[:, 1]) - (b[:, 1] - a[:, 1]) * (px - a[:, 0])) / area
    seen = (px > 0) & (px < camera.pixels[0]) & (py > 0) & (py < camera.pixels[1])
    inside = (second >= 0) & (third >= 0) & (second + third < 1) & (area < np.inf) & seen
    which, row, column = np.nonzero(inside)
    second, third = second[inside], third[inside]
    weights = np.stack([1 - second - third, second, third], axis=1)
    return first[which, 0] + column, first[which, 1] + row, which, weights


def _pixels(camera: Camera, low: FloatArray, high: FloatArray) -> tuple[IntegerArray, IntegerArray]:
    """Return columns and rows of all pixels in a rectangle of the picture."""
    begin = np.maximum(np.floor(low), 0).astype(np.int64)
    end = np.minimum(np.ceil(high), camera.pixels).astype(np.int64)
    y, x = np.mgrid[begin[1] : max(end[1], begin[1]), begin[0] : max(end[0], begin[0])]
    return x.ravel(), y.ravel()


def _opaque(
    camera: Camera,
    x: IntegerArray,
    y: IntegerArray,
    depth: FloatArray,
    normal: FloatArray,
    colour: FloatArray,
) -> Fragments:
    return Fragments(
        y * camera.pixels[0] + x, depth, normal, np.broadcast_to(colour, normal.shape),
        np.ones(len(x)),
    )  # fmt: skip
