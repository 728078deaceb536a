"""Cell vectors from the lengths and angles that files of crystallography state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase.cell import Cell

from deepdft.arrays import FloatArray
from deepdft.errors import FileFormatError


def cell_vectors(parameters: Sequence[float], path: str, *, may_be_flat: bool = True) -> FloatArray:
    """Return cell vectors (3, 3), Å, as rows: a along x, b in the plane of x and y.

    Args:
        parameters: lengths a, b, c (Å), angles alpha, beta, gamma (degrees).
        path: for messages.
        may_be_flat: a length of zero stands for a direction that does not repeat.

    Raises:
        FileFormatError: if there is no such cell.
    """
    lengths, angles = np.array(parameters[:3]), np.array(parameters[3:])
    stated = ", ".join(f"{value:g}" for value in parameters)
    known = np.isfinite(parameters).all()
    short = lengths < 0 if may_be_flat else lengths <= 0
    if not known or short.any() or (np.abs(angles - 90) >= 90).any():
        raise FileFormatError(f"{path}: a cell of {stated} (Å and degrees) is none.")
    try:
        vectors = np.asarray(Cell.fromcellpar(parameters).array, dtype=np.float64)
    except AssertionError:  # ASE's word for two angles whose sum is less than the third
        vectors = np.full((3, 3), np.nan)
    if not np.isfinite(vectors).all():
        raise FileFormatError(f"{path}: the angles of {stated} (Å and degrees) span no cell.")
    return vectors
