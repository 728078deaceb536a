"""Tables of free atoms: all electrons, and cores of closed shells.

A density falls by many orders of magnitude within one ångström, and has a cusp at the nucleus. Its
logarithm as a function of the square root of the distance is smooth; that is what is tabulated.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import as_file, files

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import ArrayLike, NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.errors import UnsupportedStructureError
from deepdft.fields.atoms.tabulation import cubic_polynomials
from deepdft.levels import LevelOfTheory

NEGLIGIBLE = 1e-6
"""e/Å^3. Free atoms end where their density falls below this."""

NOTHING = 1e-10
"""e/Å^3. Cores end where their density falls below this."""


@dataclass(frozen=True, eq=False)
class RadialLogarithms:
    """Spherical densities of some species as exponentials of cubic splines in sqrt(distance).

    Attributes:
        polynomials: (species, intervals, 4) coefficients of 1, t, t^2, t^3, t from 0 to 1 across
            an interval, of the logarithm of the density in e/Å^3.
        step: length of an interval, Å^(1/2).
        reach: (species,) distance from which on the density counts as zero, Å.
    """

    polynomials: FloatArray
    step: float
    reach: FloatArray

    @classmethod
    def of(cls, logarithms: FloatArray, step: float, least: float) -> RadialLogarithms:
        """Return those of tabulated logarithms (species, knots) that end below `least`."""
        places = [int(np.flatnonzero(row > np.log(least))[-1]) + 1 for row in logarithms]
        last = np.minimum(places, logarithms.shape[1] - 1)
        return cls(
            cubic_polynomials(logarithms), step, np.asarray((last * step) ** 2, dtype=np.float64)
        )

    def at(self, species: int, distances: ArrayLike) -> FloatArray:
        """Return the density of a species at distances (Å) of any shape, e/Å^3."""
        distances = np.asarray(distances, dtype=np.float64)
        scaled = np.sqrt(distances) / self.step
        interval = np.minimum(scaled.astype(np.int64), self.polynomials.shape[1] - 1)
        t = scaled - interval
        total = np.zeros_like(distances)
        for power in range(3, -1, -1):
            total = total * t + self.polynomials[species, interval, power]
        result: FloatArray = np.where(distances < self.reach[species], np.exp(total), 0.0)
        return result


@dataclass(frozen=True, eq=False)
class FreeAtomTables:
    """Free neutral atoms, spherical and without spin: all electrons, and cores of closed shells.

    A core of n electrons holds the lowest shells in the order 1s, 2s, 2p, 3s, 3p, 3d, 4s, 4p, 4d,
    4f, 5s, 5p, 5d, as pseudopotentials have them.

    Attributes:
        elements: chemical symbols.
        logarithms: (elements, knots) of the density of all electrons in e/Å^3.
        cores: of each core, its element (a place in `elements`) and its electrons, (cores, 2).
        core_logarithms: (cores, knots).
        step: distance between knots in sqrt(distance), Å^(1/2).
        level: level of theory.
        source: how the tables were made.
    """

    elements: tuple[str, ...]
    logarithms: NDArray[np.float32]
    cores: IntegerArray
    core_logarithms: NDArray[np.float32]
    step: float
    level: LevelOfTheory
    source: str

    @staticmethod
    def load() -> FreeAtomTables:
        """Return the tables that ship with the package."""
        return _load()

    def free_atoms(self, numbers: ArrayLike) -> tuple[IntegerArray, RadialLogarithms]:
        """Return the species (atoms,) of atomic numbers, and the densities of these species.

        Raises:
            UnsupportedStructureError: if an element has no table.
        """
        unique, species = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
        rows = [self._place(int(number)) for number in unique]
        logarithms = self.logarithms[rows].astype(np.float64)
        return species.ravel(), RadialLogarithms.of(logarithms, self.step, NEGLIGIBLE)

    def frozen_cores(
        self, numbers: ArrayLike, electrons: ArrayLike
    ) -> tuple[IntegerArray, RadialLogarithms]:
        """Return the species (atoms,) of atoms with cores of so many electrons, and their cores.

        Species -1 has no core.

        Raises:
            UnsupportedStructureError: if there is no such core.
        """
        pairs = np.stack([np.asarray(numbers), np.rint(np.asarray(electrons))], axis=1)
        unique, species = np.unique(pairs.astype(np.int64), axis=0, return_inverse=True)
        rows: list[int] = []
        places = np.full(len(unique), -1)
        for index, (number, count) in enumerate(unique.tolist()):
            if count == 0:
                continue
            wanted = [self._place(number), count]
            found = np.flatnonzero((self.cores == wanted).all(axis=1))
            if len(found) == 0:
                known = self.cores[self.cores[:, 0] == wanted[0], 1].tolist()
                raise UnsupportedStructureError(
                    f"There is no core of {count} electrons for {chemical_symbols[number]}; there "
                    f"are those of {', '.join(map(str, known)) or 'none'}."
                )
            places[index] = len(rows)
            rows.append(int(found[0]))
        logarithms = self.core_logarithms[rows].astype(np.float64)
        if not rows:
            logarithms = np.full((1, self.logarithms.shape[1]), -40.0)
            logarithms[:, 0] = 0.0
        return places[species.ravel()], RadialLogarithms.of(logarithms, self.step, NOTHING)

    def _place(self, number: int) -> int:
        symbol = chemical_symbols[number]
        if symbol not in self.elements:
            raise UnsupportedStructureError(
                f"There is no free atom of {symbol}; the tables cover {self.elements[0]} to "
                f"{self.elements[-1]}."
            )
        return self.elements.index(symbol)


@lru_cache(maxsize=1)
def _load() -> FreeAtomTables:
    with (
        as_file(files("deepdft.fields.free_atoms") / "pbe.npz") as path,
        np.load(path, allow_pickle=False) as data,
    ):
        about = json.loads(str(data["about"]))
        return FreeAtomTables(
            elements=tuple(about["elements"]),
            logarithms=data["logarithms"],
            cores=data["cores"].astype(np.int64),
            core_logarithms=data["core_logarithms"],
            step=float(about["step"]),
            level=LevelOfTheory.from_dict(about["level"]),
            source=about["source"],
        )
