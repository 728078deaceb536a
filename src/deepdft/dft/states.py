"""Structures that were calculated from several initial moments: the lowest state of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from ase import Atoms

from deepdft.storage.identities import structure_identity


class States(NamedTuple):
    """The states found of one structure, as positions among the calculations.

    Attributes:
        lowest: the state of lowest energy.
        higher: the others, in the order given.
    """

    lowest: int
    higher: tuple[int, ...]


def without_moments(atoms: Atoms) -> str:
    """Return a hash of a structure that does not depend on its initial magnetic moments."""
    copy = atoms.copy()
    copy.set_initial_magnetic_moments(np.zeros(len(copy)))
    return structure_identity(copy)


def lowest_states(calculated: Iterable[tuple[Atoms, float]]) -> list[States]:
    """Group calculations by structure, whatever moments they started from.

    Args:
        calculated: structure and energy (eV) of finished calculations at one level of theory.

    Returns:
        One entry per structure, in the order in which structures come first.
    """
    groups: dict[str, list[tuple[float, int]]] = {}
    for position, (atoms, energy) in enumerate(calculated):
        groups.setdefault(without_moments(atoms), []).append((energy, position))
    result = []
    for found in groups.values():
        lowest = min(found)[1]
        result.append(States(lowest, tuple(p for _, p in found if p != lowest)))
    return result
