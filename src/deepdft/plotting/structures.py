"""Atoms and bonds as they are drawn: images at the faces of a cell, sticks between neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors
from scipy.spatial import cKDTree

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.density import Density, Grid
from deepdft.fields.resampled import fractional, periodic_axes
from deepdft.plotting.meshes import ONE_CELL, Window

_BOND_SLACK = 0.35
"""By how much a bond may be longer than the covalent radii together, Å."""

_FACE = 1e-3
"""How far outside the box an atom still counts as on its face, a fraction."""

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


def drawn_atoms(density: Density, window: Window = ONE_CELL) -> DrawnAtoms:
    """Return the atoms of a density in a window of its box, with their bonds.

    Along periodic axes every image within the window is drawn, at both of two opposite faces;
    along others every atom is, where it is.
    """
    positions, indices = _images(density.atoms, density.grid, periodic_axes(density), window)
    numbers = density.atoms.numbers[indices]
    return DrawnAtoms(positions, numbers, indices, bonds_between(positions, numbers))


def bonds_between(positions: FloatArray, numbers: IntegerArray) -> IntegerArray:
    """Return the pairs of atoms that are as close as bonded ones, (m, 2).

    They are where the distance is below the sum of the covalent radii plus 0.35 Å.
    """
    if len(positions) < 2:
        return np.empty((0, 2), dtype=np.int64)
    radii = covalent_radii[numbers]
    reach = 2 * float(radii.max()) + _BOND_SLACK
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray").astype(np.int64)
    lengths = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    near = lengths < radii[pairs[:, 0]] + radii[pairs[:, 1]] + _BOND_SLACK
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


def cell_edges(grid: Grid) -> FloatArray:
    """Return the twelve edges of a grid's box, (12, 2, 3) Å."""
    return edges_of(grid.origin, grid.cell)


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


def _images(
    atoms: Atoms, grid: Grid, periodic: tuple[bool, bool, bool], window: Window
) -> tuple[FloatArray, IntegerArray]:
    places = fractional(grid, atoms.positions)
    repeats = np.array(periodic)
    low, high = np.array(window).T
    folded = np.where(repeats, places - np.floor(places + _FACE), places)
    spans = [
        range(int(np.floor(low[a])) - 1, int(np.ceil(high[a])) + 1) if periodic[a] else range(1)
        for a in range(3)
    ]
    found, indices = [], []
    for shift in product(*spans):
        moved = folded + shift
        inside = ((moved >= low - _FACE) & (moved <= high + _FACE)) | ~repeats
        kept = np.flatnonzero(inside.all(axis=1))
        found.append(grid.origin + moved[kept] @ grid.cell)
        indices.append(kept)
    return np.concatenate(found), np.concatenate(indices).astype(np.int64)
