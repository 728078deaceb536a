"""Tables of spherical atomic densities."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray

from deepdft.arrays import FloatArray
from deepdft.errors import (
    ConfigurationError,
    UnsupportedStructureError,
    did_you_mean,
)
from deepdft.fields.atoms.tabulation import interval_polynomials
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import reported
from deepdft.storage.json_files import parse_json
from deepdft.storage.numpy_archives import read_arrays
from deepdft.storage.whole_files import AtomicFile


@dataclass(frozen=True, eq=False)
class AtomicDensityTables:
    """Spherical densities of free atoms by distance, zero from `cutoff` on.

    Between knots the density is the quintic that matches value, slope and curvature; at the
    cutoff all three vanish, so a superposition is twice continuously differentiable everywhere.

    Attributes:
        elements: chemical symbols.
        knots: (elements, k, 3) value (e/Å^3), slope (e/Å^4) and curvature (e/Å^5) at k distances
            from 0 to the cutoff; the last are zero.
        spacing: distance between knots, Å.
        level: level of theory.
        source: how the tables were made.
    """

    elements: tuple[str, ...]
    knots: FloatArray
    spacing: float
    level: LevelOfTheory = field(default_factory=LevelOfTheory)
    source: str = ""

    def __post_init__(self) -> None:
        if self.knots.ndim != 3 or self.knots.shape[::2] != (len(self.elements), 3):
            raise ConfigurationError(
                f"Tables of {len(self.elements)} elements cannot have shape {self.knots.shape}; "
                "they need (elements, knots, 3)."
            )
        if not (0 < self.spacing < np.inf and np.isfinite(self.knots).all()) or (
            self.knots.shape[1] < 2
        ):
            raise ConfigurationError("Atomic tables need two finite knots and a positive spacing.")
        if self.knots[:, -1].any():
            raise ConfigurationError("Atomic tables must vanish at their last knot.")

    @staticmethod
    def shipped() -> list[str]:
        """Return the names of the tables that ship with the package."""
        folder = files("deepdft.fields.atoms")
        return sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".npz"))

    @staticmethod
    def load(name: str | Path) -> AtomicDensityTables:
        """Return tables that ship with the package ("pbe-gth-dzvp"), or those of a file.

        Raises:
            ConfigurationError: if there are none of that name.
            FileFormatError: if the file does not hold such tables.
        """
        return _load(str(name))

    @staticmethod
    def read(path: str | Path) -> AtomicDensityTables:
        """Return the tables of a file, which may change: nothing is remembered.

        Raises:
            FileFormatError: if the file does not hold such tables.
        """
        return _read(Path(path))

    def of_elements(self, symbols: Sequence[str]) -> AtomicDensityTables:
        """Return the tables of those of some elements that there are."""
        kept = [place for place, element in enumerate(self.elements) if element in symbols]
        elements = tuple(self.elements[place] for place in kept)
        return replace(self, elements=elements, knots=self.knots[kept])

    def save(self, path: str | Path) -> None:
        """Write to an npz file."""
        description = {
            "elements": list(self.elements),
            "spacing": self.spacing,
            "level": self.level.to_dict(),
            "source": self.source,
        }
        with AtomicFile(path) as file:
            np.savez_compressed(
                file, knots=self.knots, description=np.array(json.dumps(description))
            )

    @property
    def cutoff(self) -> float:
        """Distance from which on every density is zero, Å."""
        return float(self.spacing * (self.knots.shape[1] - 1))

    @cached_property
    def _polynomials(self) -> FloatArray:
        return np.ascontiguousarray(interval_polynomials(self.knots, self.spacing))

    def electrons(self, element: str) -> float:
        """Return the integral of an element's density over all space."""
        polynomials = self._polynomials[self._species([atomic_numbers[element]])[0]]
        # Exact for the piecewise quintic times r^2: Gauss-Legendre with five points.
        nodes, weights = np.polynomial.legendre.leggauss(5)
        t = (nodes + 1) / 2
        radii = (np.arange(len(polynomials))[:, None] + t) * self.spacing
        values = polynomials @ t[None, :] ** np.arange(6)[:, None]
        return float((4 * np.pi * radii**2 * values * weights / 2 * self.spacing).sum())

    def radial(self, element: str, distances: ArrayLike) -> FloatArray:
        """Return an element's density at distances (Å) of any shape, e/Å^3."""
        distances = np.asarray(distances, dtype=np.float64)
        polynomials = self._polynomials[self._species([atomic_numbers[element]])[0]]
        scaled = np.minimum(distances / self.spacing, len(polynomials))
        interval = np.minimum(scaled.astype(np.int64), len(polynomials) - 1)
        t = scaled - interval
        result = np.zeros_like(distances)
        for power in range(5, -1, -1):
            result = result * t + polynomials[interval, power]
        return result

    def _species(self, numbers: ArrayLike) -> NDArray[np.int64]:
        """Return the table of each atomic number."""
        known = {atomic_numbers[symbol]: index for index, symbol in enumerate(self.elements)}
        unique, inverse = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
        missing = [number for number in unique.tolist() if number not in known]
        if missing:
            symbols = {number: symbol for symbol, number in atomic_numbers.items()}
            raise UnsupportedStructureError(
                f"There are no atomic densities for {', '.join(symbols[n] for n in missing)} at "
                f"{self.level}; the tables cover {', '.join(self.elements)}."
            )
        table = np.array([known[number] for number in unique.tolist()], dtype=np.int64)
        return table[inverse.ravel()]


@lru_cache(maxsize=8)
def _load(name: str) -> AtomicDensityTables:
    folder = files("deepdft.fields.atoms")
    known = AtomicDensityTables.shipped()
    if name in known:
        with as_file(folder / f"{name}.npz") as path:
            return _read(path)
    if not Path(name).is_file():
        raise ConfigurationError(
            f"There are no atomic density tables {name!r}; shipped are {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    return _read(Path(name))


def _read(path: Path) -> AtomicDensityTables:
    with reported(path, "does not hold atomic density tables"):
        data = read_arrays(path)
        return tables_of(parse_json(str(data["description"]), path), data["knots"])


def tables_of(description: Any, knots: NDArray[Any]) -> AtomicDensityTables:
    """Return tables from the description and the knots that a file holds.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, DeepDFTError: if they make no sense.
    """
    elements = tuple(description["elements"])
    unknown = [element for element in elements if element not in atomic_numbers]
    if unknown:
        raise ValueError(f"{str(unknown[0])[:20]!r} is no element")
    return AtomicDensityTables(
        elements,
        np.asarray(knots, dtype=np.float64),
        float(description["spacing"]),
        LevelOfTheory.from_dict(description["level"]),
        str(description["source"]),
    )
