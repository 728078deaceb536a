"""Which points have an atom within a cutoff."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.compilation import compiled
from deepdft.geometry.periodic_images import images_in_reach


def within_reach(atoms: Atoms, points: FloatArray, cutoff: float) -> NDArray[np.bool_]:
    """Return which points (n, 3), Å, are closer than `cutoff` to an atom or an image of one.

    Suited to points that lie near each other or near one molecule: all pairs may be compared.
    """
    result = np.zeros(len(points), np.bool_)
    if len(points):
        positions = atoms.positions
        if atoms.pbc.any():
            lower, upper = points.min(axis=0), points.max(axis=0)
            cell = atoms.cell.array
            positions = images_in_reach(positions, cell, atoms.pbc, lower, upper, cutoff).positions
        _mark(points, positions, cutoff, result)
    return result


@compiled
def _mark(points: Any, positions: Any, cutoff: float, result: Any) -> None:
    limit = cutoff * cutoff
    last = 0
    for p in range(points.shape[0]):
        # The atom of the point before is often near this one as well.
        for a in range(positions.shape[0] + 1):
            other = last if a == 0 else a - 1
            if other >= positions.shape[0]:
                break
            x = positions[other, 0] - points[p, 0]
            y = positions[other, 1] - points[p, 1]
            z = positions[other, 2] - points[p, 2]
            if x * x + y * y + z * z < limit:
                result[p] = True
                last = other
                break
