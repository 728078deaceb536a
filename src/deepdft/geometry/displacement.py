"""How far two structures of the same atoms are apart, in whatever order these come."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.geometry import get_distances

SAME_PLACE = 0.02
"""Distance up to which two atoms are at the same place, Å."""
SAME_CELL = 1e-3
"""Largest difference between the edges of two cells that count as one, Å (files round them)."""
_MOST_ATOMS = 3000
"""Structures above this size are compared by their formula alone."""


def largest_displacement(a: Atoms, b: Atoms) -> float | None:
    """Return how far the atom of `a` is away whose counterpart in `b` is farthest, Å.

    Distances are those of the cell and periodicity of `a`. None if the elements differ; 0 for
    structures too large to compare.
    """
    if not np.array_equal(np.sort(a.numbers), np.sort(b.numbers)):
        return None
    if len(a) > _MOST_ATOMS:
        return 0.0
    largest = 0.0
    for number in np.unique(a.numbers):
        places = a.positions[a.numbers == number]
        others = b.positions[b.numbers == number]
        _, distances = get_distances(places, others, a.cell, a.pbc)
        largest = max(largest, float(distances.min(axis=1).max()))
    return largest
