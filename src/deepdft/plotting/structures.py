"""Atoms and bonds as they are drawn: balls, sticks, the edges of a box."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from scipy.spatial import cKDTree

from deepdft.arrays import FloatArray, IntegerArray

BOND_SLACK = 0.35
"""By how much a bond may be longer than the covalent radii together, Å."""

IONS = (3, 11, 19, 37, 55, 12, 20, 38, 56)
"""Of the first two columns: in crystals, sticks from them to everything would hide the picture."""

_BALL = 0.42
"""Radius of a drawn atom, of its covalent radius; hydrogen a little more."""


@dataclass(frozen=True, eq=False)
class DrawnAtoms:
    """Atoms as a picture shows them.

    Attributes:
        positions: (n, 3) Å.
        numbers: (n,) atomic numbers.
        indices: (n,) which atom of the structure each is an image of.
        bonds: (m, 2) pairs of drawn atoms with a stick between them.
    """

    positions: FloatArray
    numbers: IntegerArray
    indices: IntegerArray
    bonds: IntegerArray

    @property
    def radii(self) -> FloatArray:
        """(n,) radii of the balls, Å."""
        return ball_radii(self.numbers)

    @property
    def colours(self) -> FloatArray:
        """(n, 3) the usual colours of the elements (Jmol), from 0 to 1."""
        return element_colours(self.numbers)

    @property
    def symbols(self) -> list[str]:
        """(n,) chemical symbols."""
        return [chemical_symbols[number] for number in self.numbers]

    @property
    def partners(self) -> list[list[int]]:
        """(n,) the drawn atoms that each has a bond to."""
        result: list[list[int]] = [[] for _ in self.numbers]
        for a, b in self.bonds.tolist():
            result[a].append(b)
            result[b].append(a)
        return result


def bonds_between(
    positions: FloatArray, numbers: IntegerArray, without: tuple[int, ...] = ()
) -> IntegerArray:
    """Return the pairs of atoms that are as close as bonded ones, (m, 2).

    They are where the distance is below the sum of the covalent radii plus 0.35 Å.

    Args:
        positions: (n, 3) Å.
        numbers: (n,) atomic numbers.
        without: atomic numbers of atoms that get none.
    """
    if len(positions) < 2:
        return np.empty((0, 2), dtype=np.int64)
    radii = covalent_radii[numbers]
    reach = 2 * float(radii.max()) + BOND_SLACK
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray").astype(np.int64)
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    near = lengths < radii[pairs[:, 0]] + radii[pairs[:, 1]] + BOND_SLACK
    near &= ~np.isin(numbers[pairs], without).any(axis=1)
    result: IntegerArray = pairs[near]
    return result


def ball_radii(numbers: IntegerArray) -> FloatArray:
    """Return the radii with which atoms are drawn, (n,) Å."""
    radii = covalent_radii[np.asarray(numbers)]
    result: FloatArray = _BALL * np.clip(radii, 0.55, 1.3)
    return result


def element_colours(numbers: IntegerArray) -> FloatArray:
    """Return the usual colours of elements (Jmol), (n, 3) from 0 to 1."""
    result: FloatArray = jmol_colors[np.asarray(numbers)]
    return result


def edges_of(corner: FloatArray, box: FloatArray) -> FloatArray:
    """Return the twelve edges of a box, (12, 2, 3) Å, given a corner and its edges there (3, 3)."""
    corners = {bits: corner + np.array(bits) @ box for bits in product((0, 1), repeat=3)}
    ends = [
        (corners[bits], corners[tuple(int(b or a == axis) for a, b in enumerate(bits))])
        for bits in corners
        for axis in range(3)
        if not bits[axis]
    ]
    return np.array(ends)
