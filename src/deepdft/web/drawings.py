"""Surfaces and slices as bytes that the page puts into typed arrays.

Each begins with the length of a JSON text (32 bits, little-endian) and that text, padded with
spaces to a multiple of four bytes. Arrays of 32-bit floats and integers follow.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from deepdft.density import Density
from deepdft.fields.resampled import periodic_axes
from deepdft.plotting.meshes import Mesh, interpolated
from deepdft.web.results import SIGNED, FieldName, Result


@dataclass(frozen=True)
class Drawing:
    """A surface that is asked for.

    Attributes:
        level: the value on it; of a signed field also minus that.
        name: the field.
        colour: a field to colour it by.
        cells: how many cells of a crystal, along each edge.
    """

    level: float
    name: FieldName = "density"
    colour: FieldName | None = None
    cells: tuple[int, int, int] = (1, 1, 1)


def surface(result: Result, drawing: Drawing) -> bytes:
    """Return an isosurface, with its negative lobe where the field is signed.

    The text holds `pieces`, a list of the numbers of `vertices` and `triangles` and the `level` of
    each, and the range of `values`. Of each piece follow positions (n, 3), normals (n, 3), values
    (n,) where there are colours, and triangles (m, 3).

    Raises:
        Refusal: if there is no such field.
    """
    pieces = [piece for mesh in meshes_of(result, drawing) for piece in mesh.pieces(60_000)]
    values = np.concatenate([m.values for m in pieces if m.values is not None] or [np.empty(0)])
    about = {
        "pieces": [
            {"vertices": len(m.vertices), "triangles": len(m.faces), "level": m.level}
            for m in pieces
        ],
        "coloured": bool(len(values)),
        "values": [float(values.min()), float(values.max())] if len(values) else None,
    }
    return packed(about, [array for piece in pieces for array in _arrays(piece)])


def meshes_of(result: Result, drawing: Drawing) -> list[Mesh]:
    """Return what `surface` packs: one mesh, or two of a signed field.

    Raises:
        Refusal: if there is no such field.
    """
    field = result.field_named(drawing.name)
    scene = result.scene_of(drawing.cells)
    if drawing.name in SIGNED:
        return scene.lobes(field, drawing.level)
    mesh = scene.surface(field, drawing.level)
    if drawing.colour is None:
        return [mesh]
    colour = result.field_named(drawing.colour)
    return [replace(mesh, values=interpolated(colour, mesh.vertices))]


def _arrays(piece: Mesh) -> list[np.ndarray]:
    arrays = [piece.vertices.astype("<f4"), piece.normals.astype("<f4")]
    if piece.values is not None:
        arrays.append(piece.values.astype("<f4"))
    return [*arrays, piece.faces.astype("<u4")]


def slice_of(
    result: Result,
    name: FieldName,
    axis: int,
    position: float,
    cells: tuple[int, int, int] = (1, 1, 1),
) -> bytes:
    """Return a slice through a field, between layers of points as linear interpolation has it.

    The text holds `shape`, the `origin` of the first point and the two `steps` between points, Å.
    The values follow. Where the field repeats, the last layer is the first one again.

    Args:
        result: what is shown.
        name: the field.
        axis: 0, 1 or 2, along which the slice is cut.
        position: where, as a fraction of what is shown.
        cells: how many cells of a crystal are shown, along each edge.

    Raises:
        Refusal: if there is no such field.
    """
    density = result.field_named(name)
    grid = density.grid
    scene = result.scene_of(cells)
    repeats = periodic_axes(density)
    # The layer of points at which the window begins, along each axis.
    begin = [round(low * count) for (low, _), count in zip(scene.window, grid.shape, strict=True)]
    across = position * scene.cells[axis] + begin[axis] / grid.shape[axis]
    values, place = _layer(density, axis, across)
    first, second = (other for other in range(3) if other != axis)
    for place_in_layer, other in enumerate((first, second)):
        if repeats[other]:
            count = grid.shape[other]
            layers = np.arange(begin[other], begin[other] + scene.cells[other] * count + 1)
            values = values.take(layers % count, axis=place_in_layer)
    corner = [place if other == axis else begin[other] for other in range(3)]
    about = {
        "shape": list(values.shape),
        "origin": (grid.origin + corner @ grid.voxel).tolist(),
        "steps": [grid.voxel[first].tolist(), grid.voxel[second].tolist()],
        "range": [float(values.min()), float(values.max())],
    }
    return packed(about, [values.astype("<f4")])


def _layer(density: Density, axis: int, position: float) -> tuple[np.ndarray, float]:
    """Return the values of a layer and where it is, in layers of points."""
    count = density.grid.shape[axis]
    repeats = periodic_axes(density)[axis]
    place = position * (count if repeats else count - 1)
    low = int(np.floor(place))
    weight = place - low
    layers = [density.slice(axis, min(n, count - 1) if not repeats else n % count)
              for n in (low, low + 1)]  # fmt: skip
    return (1 - weight) * layers[0] + weight * layers[1], place


def packed(about: dict[str, Any], arrays: Sequence[np.ndarray]) -> bytes:
    """Return a JSON text and arrays as bytes, see above."""
    text = json.dumps(about, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    head = len(text).to_bytes(4, "little") + text
    return head + b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)
