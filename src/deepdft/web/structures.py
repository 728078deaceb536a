"""A structure as it is drawn: atoms, their images in a window of a crystal, and bonds."""

from __future__ import annotations

from itertools import product

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from pydantic import BaseModel, Field

from deepdft.arrays import FloatArray
from deepdft.plotting.meshes import ONE_CELL, Window
from deepdft.web.problems import Refusal

_ON_A_FACE = 0.02
"""Å / 1: fraction of an edge within which an atom is drawn on the opposite face as well."""

_MOST = 4000
"""Atoms that a browser draws without a pause."""

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
    corner: list[float] = Field([0.0, 0.0, 0.0], description="Where the first cell begins, Å.")
    cells: list[int] = Field([1, 1, 1], description="How many cells there are along each edge.")


def drawn_structure(
    atoms: Atoms,
    periodic: bool,
    window: Window = ONE_CELL,
    cells: tuple[int, int, int] = (1, 1, 1),
) -> DrawnStructure:
    """Return what is drawn of a structure.

    Args:
        atoms: the structure.
        periodic: whether to draw its cell.
        window: which part of its cell, see `deepdft.plotting.windows`.
        cells: how many of them.

    Raises:
        Refusal: if these are more atoms than can be drawn.
    """
    indices, positions = _within(atoms, window, cells)
    if len(indices) > max(_MOST, len(atoms)):
        raise Refusal(
            f"So many cells have {len(indices)} atoms, and at most {_MOST} are drawn; show fewer.",
            413,
        )
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
    box = np.asarray(atoms.cell.complete())
    corner = np.array([low for low, _ in window]) @ box
    return DrawnStructure(
        atoms=drawn,
        cell=np.asarray(atoms.cell).round(6).tolist() if periodic else None,
        corner=corner.round(6).tolist(),
        cells=list(cells),
    )


def _within(
    atoms: Atoms, window: Window, cells: tuple[int, int, int]
) -> tuple[np.ndarray, FloatArray]:
    """Return indices and positions of all atoms within some cells, their faces included."""
    cell = np.asarray(atoms.cell.complete())
    fractions = np.linalg.solve(cell.T, atoms.positions.T).T
    pbc = np.asarray(atoms.pbc)
    low = np.array([first for first, _ in window])
    high = low + cells
    fractions[:, pbc] -= np.floor(fractions[:, pbc] - low[pbc] + 1e-6)
    spans = [range(-1, n + 1) if repeats else (0,) for n, repeats in zip(cells, pbc, strict=True)]
    indices, places = [], []
    for index, fraction in enumerate(fractions):
        for shift in product(*spans):
            place = fraction + shift
            near = (place > low - _ON_A_FACE) & (place < high + _ON_A_FACE)
            if (near | ~pbc).all():
                indices.append(index)
                places.append(place)
    return np.array(indices, dtype=np.int64), np.array(places).reshape(-1, 3) @ cell


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
