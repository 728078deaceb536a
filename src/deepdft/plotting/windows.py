"""Which part of a periodic box is shown: one in which molecules and slabs are whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray
from deepdft.plotting.meshes import Window

_VACUUM = 5.0
"""Å without atoms along an axis through which no crystal goes on."""

CLEAR = 2.5
"""Å between the atoms and a face that are enough for a surface around them."""


def whole_window(
    positions: FloatArray, cell: ArrayLike, periodic: Sequence[bool], origin: ArrayLike = (0, 0, 0)
) -> Window:
    """Return a window of one cell that cuts a structure only where it goes on.

    Along an axis with vacuum the window begins in the middle of that; along others, and where the
    atoms are clear of the faces anyway, it is the cell.

    Args:
        positions: (n, 3) of the atoms, Å.
        cell: (3, 3) rows are the edges of the box, Å.
        periodic: along which of them everything repeats.
        origin: corner of the box, Å.
    """
    inverse = np.linalg.inv(np.asarray(cell, dtype=np.float64))
    places = (positions - np.asarray(origin, dtype=np.float64)) @ inverse
    # Between opposite faces; an edge may be longer.
    heights = 1 / np.linalg.norm(inverse, axis=0)
    return (
        _along(places[:, 0], heights[0], bool(periodic[0])),
        _along(places[:, 1], heights[1], bool(periodic[1])),
        _along(places[:, 2], heights[2], bool(periodic[2])),
    )


def _along(places: FloatArray, height: float, repeats: bool) -> tuple[float, float]:
    if not repeats or not len(places):
        return 0.0, 1.0
    within = np.sort(places % 1.0)
    gaps = np.diff(within, append=within[0] + 1)
    widest = int(np.argmax(gaps))
    clear = min(within[0], 1 - within[-1]) * height
    if gaps[widest] * height < _VACUUM or clear >= CLEAR:
        return 0.0, 1.0
    begin = float((within[widest] + gaps[widest] / 2) % 1.0)
    begin -= begin > 0.5
    return begin, begin + 1.0
