"""Which images of a periodic structure's atoms are drawn: molecules whole, crystals with faces."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.plotting.meshes import Window
from deepdft.plotting.structures import BOND_SLACK, IONS
from deepdft.structures.molecules import Molecules

_FACE = 0.02
"""How far outside the box an atom still counts as on its face, a fraction."""


@dataclass(frozen=True, eq=False)
class Box:
    """A structure in a box that repeats along some of its edges.

    Attributes:
        atoms: the structure.
        edges: (3, 3) rows are the edges of the box, Å.
        origin: (3,) its corner, Å.
        repeats: along which edges the structure repeats.
    """

    atoms: Atoms
    edges: FloatArray
    origin: FloatArray
    repeats: tuple[bool, bool, bool]

    def fractional(self, points: FloatArray) -> FloatArray:
        """Return points (n, 3), Å, as fractions of the edges."""
        result: FloatArray = (points - self.origin) @ np.linalg.inv(self.edges)
        return result

    def positions(self, places: FloatArray) -> FloatArray:
        """Return fractions of the edges (n, 3) as points, Å."""
        result: FloatArray = self.origin + places @ self.edges
        return result

    @cached_property
    def _molecules(self) -> list[tuple[NDArray[np.intp], FloatArray]]:
        """The atoms of each molecule, and where they are (n, 3) once its bonds are whole, Å.

        Single atoms are none, and neither is what goes on without an end.
        """
        if not any(self.repeats):
            return []
        kept = np.flatnonzero(~np.isin(self.atoms.numbers, IONS))
        found = Molecules(self.atoms[kept], BOND_SLACK)
        cell, positions = self.atoms.cell.array, self.atoms.positions[kept]
        return [
            (kept[part], positions[part] + found.cells_of(part) @ cell)
            for part in found.parts
            if len(part) > 1 and not found.is_endless(part)
        ]

    @cached_property
    def in_molecules(self) -> NDArray[np.bool_]:
        """(n,) which atoms are part of a molecule that is drawn whole."""
        result = np.zeros(len(self.atoms), dtype=np.bool_)
        for part, _ in self._molecules:
            result[part] = True
        return result

    @cached_property
    def joined(self) -> FloatArray:
        """(n, 3) positions, Å: as they are, but no molecule is torn apart."""
        result: FloatArray = self.atoms.positions.copy()
        for part, positions in self._molecules:
            result[part] = positions
        return result

    def all_within(self, window: Window) -> tuple[FloatArray, IntegerArray]:
        """Return the positions of all atoms within a window, and which atoms they are images of."""
        found = self._within(self.fractional(self.joined), window, _FACE)
        return self._moved(self.joined, *found), found[1]

    def drawn_within(self, window: Window) -> tuple[FloatArray, IntegerArray]:
        """Return the positions of atoms to draw in a window, and which atoms they are images of.

        Molecules are whole, and those are drawn whose middle is in the window. Of other atoms
        every image is, at both of two opposite faces too.
        """
        alone = np.flatnonzero(~self.in_molecules)
        shifts, which = self._within(self.fractional(self.joined[alone]), window, _FACE)
        parts = [(self._moved(self.joined[alone], shifts, which), alone[which])]
        if self._molecules:
            middles = np.array([positions.mean(axis=0) for _, positions in self._molecules])
            shifts, which = self._within(self.fractional(middles), window, -1e-9)
            for shift, number in zip(shifts, which, strict=True):
                part, positions = self._molecules[number]
                parts.append((positions + shift @ self.edges, part))
        return np.concatenate([p for p, _ in parts]), np.concatenate([i for _, i in parts])

    def _moved(self, positions: FloatArray, shifts: FloatArray, which: IntegerArray) -> FloatArray:
        result: FloatArray = positions[which] + shifts @ self.edges
        return result

    def _within(
        self, places: FloatArray, window: Window, slack: float
    ) -> tuple[FloatArray, IntegerArray]:
        """Return shifts by whole boxes (m, 3) and of what: all that come to lie in a window.

        A negative slack leaves out what lies on the far faces.
        """
        low, high = np.array(window).T
        repeats = np.array(self.repeats)
        # Into the first box of the window, or as little before it as counts.
        folds = np.where(repeats, -np.floor(places - low + abs(slack)), 0.0)
        spans = [range(int(np.ceil(h - lo)) + 1) if on else range(1)
                 for lo, h, on in zip(low, high, repeats, strict=True)]  # fmt: skip
        found, indices = [], []
        for shift in product(*spans):
            moved = places + folds + shift
            inside = (moved < high + slack) | ~repeats
            kept = np.flatnonzero(inside.all(axis=1))
            found.append(folds[kept] + shift)
            indices.append(kept)
        return np.concatenate(found), np.concatenate(indices).astype(np.int64)
