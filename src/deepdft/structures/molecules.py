"""Molecules within a structure: atoms that are bonded, judged by covalent radii."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.formula import Formula
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

_STRETCH = 1.25
"""Bonds are up to this much longer than the sum of the covalent radii."""


class Molecules:
    """Bonds of a structure without periodic directions, and what they hold together.

    Args:
        atoms: the structure; its periodicity is not looked at.
    """

    def __init__(self, atoms: Atoms) -> None:
        self.atoms = atoms
        radii = covalent_radii[atoms.numbers]
        tree = cKDTree(atoms.positions)
        pairs = tree.query_pairs(
            2 * _STRETCH * float(radii.max(initial=0.0)), output_type="ndarray"
        )
        pairs = pairs.reshape(-1, 2)
        steps = atoms.positions[pairs[:, 0]] - atoms.positions[pairs[:, 1]]
        limits = _STRETCH * (radii[pairs[:, 0]] + radii[pairs[:, 1]])
        self.bonds: NDArray[np.intp] = pairs[np.linalg.norm(steps, axis=1) < limits]

    @cached_property
    def parts(self) -> list[NDArray[np.intp]]:
        """The atoms of each molecule."""
        n = len(self.atoms)
        ones = np.ones(len(self.bonds))
        graph = coo_matrix((ones, (self.bonds[:, 0], self.bonds[:, 1])), shape=(n, n))
        count, label = connected_components(graph, directed=False)
        return [np.flatnonzero(label == number) for number in range(count)]

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """The atoms bonded to each atom."""
        result: list[list[int]] = [[] for _ in range(len(self.atoms))]
        for i, j in self.bonds:
            result[i].append(int(j))
            result[j].append(int(i))
        return result

    def formula(self, part: NDArray[np.intp]) -> str:
        """Return the chemical formula of some of the atoms, in Hill's order."""
        return str(Formula.from_list(list(self.atoms.symbols[part])).format("hill"))
