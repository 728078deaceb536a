"""A structure as it is drawn: atoms, their images on the faces of a cell, and bonds."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from pydantic import BaseModel, Field

from deepdft.arrays import FloatArray

_ON_A_FACE = 0.02
"""Å / 1: fraction of an edge within which an atom is drawn on the opposite face as well."""

_STRETCHED = 1.2
"""How much longer than the sum of covalent radii a bond may be."""

_WITHOUT_BONDS = frozenset((3, 11, 19, 37, 55, 12, 20, 38, 56))
"""Ions of the first two columns: lines from them to everything would hide the picture."""


class DrawnAtom(BaseModel):
    """An atom where it is drawn."""

    element: str
    x: float = Field(description="Å")
    y: float = Field(description="Å")
    z: float = Field(description="Å")
    index: int = Field(description="Number of the atom in the structure, from 0.")
    bonds: list[int] = Field(description="Places in this list of the atoms it is bonded to.")


class DrawnStructure(BaseModel):
    """What is drawn of a structure."""

    atoms: list[DrawnAtom]
    cell: list[list[float]] | None = Field(description="Rows are cell vectors, Å; of crystals.")


def drawn_structure(atoms: Atoms, periodic: bool) -> DrawnStructure:
    """Return what is drawn of a structure.

    Args:
        atoms: the structure.
        periodic: whether to draw its cell, with the images of atoms on its faces.
    """
    indices = np.arange(len(atoms))
    positions = atoms.positions
    if periodic:
        indices, positions = _in_cell(atoms)
    bonds = _bonds(atoms.numbers[indices], positions)
    symbols = atoms.get_chemical_symbols()
    drawn = [
        DrawnAtom(
            element=symbols[index],
            x=round(float(place[0]), 4),
            y=round(float(place[1]), 4),
            z=round(float(place[2]), 4),
            index=int(index),
            bonds=partners,
        )
        for index, place, partners in zip(indices, positions, bonds, strict=True)
    ]
    cell = np.asarray(atoms.cell).round(6).tolist() if periodic else None
    return DrawnStructure(atoms=drawn, cell=cell)


def _in_cell(atoms: Atoms) -> tuple[np.ndarray, FloatArray]:
    """Return indices and positions of all atoms within the closed cell."""
    cell = np.asarray(atoms.cell.complete())
    fractions = np.linalg.solve(cell.T, atoms.positions.T).T
    pbc = np.asarray(atoms.pbc)
    fractions[:, pbc] -= np.floor(fractions[:, pbc] + 1e-6)
    edge = _ON_A_FACE
    indices, places = [], []
    for index, fraction in enumerate(fractions):
        options = [
            (0.0, 1.0) if repeats and value < edge else
            (0.0, -1.0) if repeats and value > 1 - edge else (0.0,)
            for value, repeats in zip(fraction, pbc, strict=True)
        ]  # fmt: skip
        for shift in product(*options):
            indices.append(index)
            places.append(fraction + shift)
    return np.array(indices), np.array(places) @ cell


def _bonds(numbers: np.ndarray, positions: FloatArray) -> list[list[int]]:
    from scipy.spatial import KDTree

    radii = covalent_radii[numbers]
    result: list[list[int]] = [[] for _ in numbers]
    pairs = KDTree(positions).query_pairs(2 * _STRETCHED * float(radii.max(initial=1.0)))
    for first, second in sorted(pairs):
        if {int(numbers[first]), int(numbers[second])} & _WITHOUT_BONDS:
            continue
        if numbers[first] == numbers[second] == 1 and len(numbers) > 2:
            continue
        distance = float(np.linalg.norm(positions[first] - positions[second]))
        if distance < _STRETCHED * (radii[first] + radii[second]):
            result[first].append(second)
            result[second].append(first)
    return result
