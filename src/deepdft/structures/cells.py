"""Cells that files write although there is none, and cells that no crystal has."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.errors import UnsupportedStructureError

_UNIT = 1e-3
"""How close lengths must be to 1 Å to be those of a placeholder."""

_LARGE = 1000.0
"""Å. A cell of this length with room in it is a placeholder."""

_SMALLEST = 1.0
"""Å^3 for an atom. Solid hydrogen at the pressure of the Earth's centre has about twice that."""


def settle_cell(atoms: Atoms) -> list[str]:
    """Take away what only holds the place of a cell; return a note for what was done.

    Changes `atoms`: its cell and its periodicity.

    Raises:
        UnsupportedStructureError: if the structure is periodic along vectors that are not finite
            or span no cell, or the cell has no room for the atoms.
    """
    cell = np.array(atoms.cell, dtype=np.float64)
    if not np.isfinite(cell).all():
        if atoms.pbc.any():
            raise UnsupportedStructureError(
                f"The cell {cell.tolist()} has values that are not finite; give it a cell."
            )
        atoms.set_cell(None)
        return [
            "the cell has values that are not finite and was left out: no direction is periodic"
        ]
    if not atoms.pbc.any():
        return []
    lengths = np.linalg.norm(cell, axis=1)
    if np.abs(cell - np.eye(3)).max() < _UNIT:
        return _without_cell(atoms, "the cell of 1 Å only holds a place")
    missing = atoms.pbc & (lengths < 1e-6)
    if missing[atoms.pbc].all():
        return _without_cell(atoms, "the cell has no size")
    notes = _drop_directions(atoms, missing, "the cell vector {} is zero")
    large = atoms.pbc & (lengths >= _LARGE) & _has_room(atoms, lengths)
    if large.any() and large[atoms.pbc].all():
        shown = ", ".join(f"{length:g}" for length in lengths[large])
        return [*notes, *_without_cell(atoms, f"the cell of {shown} Å only holds a place")]
    notes += _drop_directions(atoms, large, f"the cell vector {{}} of over {_LARGE:g} Å")
    return notes + _check_cell(atoms)


def _without_cell(atoms: Atoms, why: str) -> list[str]:
    atoms.set_cell(None)
    atoms.pbc = False
    return [f"{why}: taken as a molecule without a cell"]


def _drop_directions(atoms: Atoms, which: NDArray[np.bool_], why: str) -> list[str]:
    if not which.any():
        return []
    cell = np.array(atoms.cell)
    cell[which] = 0.0
    atoms.set_cell(cell)
    atoms.pbc = atoms.pbc & ~which
    names = " and ".join("abc"[i] for i in np.flatnonzero(which))
    return [f"{why.format(names)}: taken as not periodic along it"]


def _has_room(atoms: Atoms, lengths: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return along which cell vectors the atoms fill less than half."""
    extent = np.zeros(3)
    for axis, vector in enumerate(np.array(atoms.cell)):
        if lengths[axis] > 0:
            along = np.sort(atoms.positions @ vector / lengths[axis] ** 2 % 1.0)
            gaps = np.diff(along, append=along[:1] + 1)
            extent[axis] = 1 - gaps.max()
    return np.asarray(extent < 0.5)


def _check_cell(atoms: Atoms) -> list[str]:
    vectors = np.array(atoms.cell)[atoms.pbc]
    volume = np.sqrt(max(np.linalg.det(vectors @ vectors.T), 0.0))
    lengths = np.linalg.norm(vectors, axis=1)
    if volume < 1e-6 * lengths.prod():
        raise UnsupportedStructureError(
            f"The cell vectors {np.round(vectors, 6).tolist()} lie in a plane or on a line and "
            "span no cell."
        )
    if not atoms.pbc.all():
        return []
    if volume < _SMALLEST * len(atoms):
        raise UnsupportedStructureError(
            f"The cell of {volume:.3g} Å^3 has no room for {len(atoms)} atoms; lengths are to be "
            "in Å."
        )
    if np.linalg.det(vectors) < 0:
        return [
            "the cell is left-handed (a x b . c < 0): the density is right, but VASP stops at such "
            "a cell; exchange two axes to go on with it"
        ]
    return []
