"""How many electrons a density of given elements may hold, by the periodic table.

Pseudopotentials differ in what they call valence, so an element has a range: from its outermost
shell alone (Ga: 3) to everything above the noble gas core one shell further down (Ga: 21). An
all-electron density holds as many electrons as the nuclei have protons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.density import Grid
from deepdft.units import BOHR, PER_CUBIC_BOHR

_NOBLE_GASES = (2, 10, 18, 36, 54, 86)


def valence_range(number: int) -> tuple[int, int]:
    """Return the smallest and the largest usual count of valence electrons of an element."""
    if number <= 2:
        return number, number
    core = max([gas for gas in _NOBLE_GASES if gas < number], default=0)
    deeper = max([gas for gas in _NOBLE_GASES if gas < core], default=0)
    outer = number - core
    fewest = outer
    if core in (18, 36) and outer >= 12:  # a full d shell may be core
        fewest = outer - 10
    elif core in (54, 86) and outer >= 17:  # a full f shell is core, and perhaps a full d shell
        fewest = outer - 14 - (10 if outer >= 26 else 0)
    elif core in (54, 86) and outer > 3:  # f electrons kept in the core
        fewest = 2
    return fewest, number - deeper


@dataclass(frozen=True)
class ElectronCounts:
    """What a structure allows: all electrons, and the range of valence counts."""

    all_electron: int
    fewest: int
    most: int

    @classmethod
    def of(cls, numbers: ArrayLike) -> ElectronCounts:
        """Return the counts of a structure from its atomic numbers."""
        ranges = [valence_range(int(number)) for number in np.asarray(numbers).ravel()]
        return cls(
            int(np.sum(numbers, dtype=np.int64)),
            sum(low for low, _ in ranges),
            sum(high for _, high in ranges),
        )

    def allow(self, electrons: float) -> bool:
        """Return whether an integral is possible, within 1 % or a tenth of an electron."""
        slack = max(0.1, 0.01 * self.all_electron)
        if abs(electrons - self.all_electron) <= slack:
            return True
        return self.fewest - slack <= electrons <= self.most + slack


_CORE_DENSITY = 200.0
"""Density, e/Å^3, that no valence electrons reach."""
_ATOMS_TRIED = 20


def holds_cores(atoms: Atoms, grid: Grid, values: NDArray[np.floating[Any]]) -> bool:
    """Return whether a density has the 1s electrons of its atoms, judged next to the nuclei.

    Next to a nucleus the density is 2 zeta^3 / pi exp(-2 zeta r) bohr^-3 with zeta close to Z. Only
    atoms that have a grid point so close that this is beyond any valence density are asked.
    """
    zeta = np.asarray(atoms.numbers, dtype=np.float64) - 0.3
    places = np.linalg.solve(grid.voxel.T, (atoms.positions - grid.origin).T).T
    nearest = np.rint(places)
    distance = np.linalg.norm((nearest - places) @ grid.voxel, axis=1) / BOHR
    expected = 2 * zeta**3 / np.pi * np.exp(-2 * zeta * distance) * PER_CUBIC_BOHR
    near = np.abs(nearest).max(axis=1, initial=0) < 1e9  # and not lost in a hostile cell
    asked = np.flatnonzero((expected > _CORE_DENSITY) & (np.asarray(atoms.numbers) > 2) & near)
    votes = []
    for index in asked[:_ATOMS_TRIED]:
        i, j, k = np.mod(nearest[index].astype(np.int64), grid.shape)
        votes.append(float(values[i, j, k]) > 0.3 * expected[index])
    return len(votes) > 0 and float(np.mean(votes)) > 0.5
