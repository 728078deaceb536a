"""Symmetry operations of a crystal, applied to the sites of its asymmetric unit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import gemmi
import numpy as np

from deepdft.arrays import FloatArray
from deepdft.errors import FileFormatError
from deepdft.structures.occupancy import SAME_PLACE


@dataclass(frozen=True)
class Orbit:
    """The images of one site.

    Attributes:
        positions: (n, 3) fractional coordinates, in [0, 1).
        coinciding: how many operations lead to each of them.
    """

    positions: FloatArray
    coinciding: int


def parse_operations(texts: Sequence[str], path: str) -> list[gemmi.Op]:
    """Return operations such as "-x, y+1/2, z".

    Raises:
        FileFormatError: if one cannot be read.
    """
    operations = []
    for text in texts:
        try:
            operations.append(gemmi.Op(text.strip()))
        except (RuntimeError, ValueError):
            raise FileFormatError(f"{path}: '{text}' is no symmetry operation.") from None
    return operations


def group_of(
    name: str = "", number: int = 0, hall: str = "", angles: tuple[float, float] = (0.0, 0.0)
) -> gemmi.SpaceGroup | None:
    """Return a space group by its Hall symbol, Hermann-Mauguin symbol or number, or None.

    Args:
        name: Hermann-Mauguin symbol, short or full.
        number: of the International Tables.
        hall: Hall symbol.
        angles: alpha and gamma of the cell, degrees: rhombohedral or hexagonal axes.
    """
    if hall:
        found = gemmi.find_spacegroup_by_ops(gemmi.symops_from_hall(hall))
        if found is not None:
            return found
    if name:
        found = gemmi.find_spacegroup_by_name(name, *angles)
        if found is not None:
            return found
    return gemmi.find_spacegroup_by_number(number) if 1 <= number <= 230 else None


def operations_of(group: gemmi.SpaceGroup) -> list[gemmi.Op]:
    """Return all operations of a space group, centring included."""
    return list(group.operations())


def orbits(positions: FloatArray, operations: Sequence[gemmi.Op], cell: FloatArray) -> list[Orbit]:
    """Return the images of sites that are different.

    Args:
        positions: (n, 3) fractional coordinates.
        operations: the identity included.
        cell: (3, 3) cell vectors as rows, Å.
    """
    scale = gemmi.Op.DEN
    rotations = np.array([op.rot for op in operations], dtype=np.float64) / scale
    shifts = np.array([op.tran for op in operations], dtype=np.float64) / scale
    found = []
    for position in np.asarray(positions, dtype=np.float64):
        images = (rotations @ position + shifts) % 1.0
        kept: list[FloatArray] = []
        for image in images:
            if not kept or not _near(np.array(kept) - image, cell):
                kept.append(image)
        # The site itself is where the file has it, not moved into the cell.
        found.append(Orbit(np.array(kept), round(len(images) / len(kept))))
    return found


def _near(differences: FloatArray, cell: FloatArray) -> bool:
    vectors = (differences - np.round(differences)) @ cell
    return bool((np.einsum("ij,ij->i", vectors, vectors) < SAME_PLACE**2).any())
