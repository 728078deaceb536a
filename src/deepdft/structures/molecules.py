"""Molecules within a structure: atoms that are bonded, judged by covalent radii."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.formula import Formula
from numpy.typing import NDArray

from deepdft.geometry.connections import connected_parts
from deepdft.geometry.pairs import near_pairs

BOND = 0.45
"""Å. Bonds are up to this much longer than the sum of the covalent radii."""


class Molecules:
    """The bonds of a structure, and what they hold together.

    Args:
        atoms: the structure.
        tolerance: how much longer a bond may be than the sum of the covalent radii, Å.
    """

    def __init__(self, atoms: Atoms, tolerance: float = BOND) -> None:
        self.atoms = atoms
        radii = covalent_radii[atoms.numbers]
        pairs = near_pairs(atoms, 2 * float(radii.max(initial=0.0)) + tolerance)
        bonded = pairs.distances < radii[pairs.first] + radii[pairs.second] + tolerance
        self._first, self._second = pairs.first[bonded], pairs.second[bonded]
        self._shifts = pairs.shifts[bonded]

    @cached_property
    def parts(self) -> list[NDArray[np.intp]]:
        """The atoms of each molecule."""
        label = connected_parts(len(self.atoms), self._first, self._second)
        order = np.argsort(label, kind="stable")
        return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)

    @cached_property
    def bond_counts(self) -> NDArray[np.intp]:
        """How many bonds each atom has, (atoms,)."""
        ends = np.concatenate([self._first, self._second])
        return np.bincount(ends, minlength=len(self.atoms))

    @cached_property
    def _leaving(self) -> NDArray[np.bool_]:
        """Which atoms have a bond into another cell, (atoms,)."""
        result = np.zeros(len(self.atoms), dtype=np.bool_)
        leaving = self._shifts.any(axis=1)
        result[self._first[leaving]] = result[self._second[leaving]] = True
        return result

    @cached_property
    def neighbours(self) -> list[list[tuple[int, tuple[int, int, int]]]]:
        """For each atom those bonded to it, with the cells between them."""
        result: list[list[tuple[int, tuple[int, int, int]]]] = [[] for _ in range(len(self.atoms))]
        for i, j, shift in zip(self._first, self._second, self._shifts.tolist(), strict=True):
            x, y, z = shift
            result[i].append((int(j), (x, y, z)))
            result[j].append((int(i), (-x, -y, -z)))
        return result

    def is_endless(self, part: NDArray[np.intp]) -> bool:
        """Return whether a part is bonded to its own periodic images: a chain, layer or network."""
        return bool(self._leaving[part].any()) and self._walked(part) is None

    def cells_of(self, part: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return by how many cells to move each atom of a part, so that its bonds are whole.

        Returns:
            (len(part), 3); the first atom stays. Of an endless part, zeros.
        """
        places = self._walked(part) if self._leaving[part].any() else None
        if places is None:
            return np.zeros((len(part), 3), dtype=np.int64)
        return np.array([places[int(atom)] for atom in part], dtype=np.int64)

    def _walked(self, part: NDArray[np.intp]) -> dict[int, tuple[int, int, int]] | None:
        """Return the cell of each atom, going along bonds; None where an atom is in several."""
        places = {int(part[0]): (0, 0, 0)}
        waiting = [int(part[0])]
        while waiting:
            atom = waiting.pop()
            x, y, z = places[atom]
            for other, (i, j, k) in self.neighbours[atom]:
                place = (x + i, y + j, z + k)
                if other not in places:
                    places[other] = place
                    waiting.append(other)
                elif places[other] != place:
                    return None
        return places

    def bonds_of(self, atom: int) -> tuple[list[int], NDArray[np.float64]]:
        """Return the atoms bonded to one, and vectors (n, 3) to where they are, Å."""
        others = [other for other, _ in self.neighbours[atom]]
        shifts = np.array([shift for _, shift in self.neighbours[atom]]).reshape(-1, 3)
        ends = self.atoms.positions[others] + shifts @ self.atoms.cell.array
        return others, ends - self.atoms.positions[atom]

    def formula(self, part: NDArray[np.intp]) -> str:
        """Return the chemical formula of some of the atoms, in Hill's order."""
        return str(Formula.from_list(list(self.atoms.symbols[part])).format("hill"))
