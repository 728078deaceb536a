"""Tables of spherical atomic densities, and their superposition."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from deepdft.density import Density, Grid, as_points
from deepdft.errors import (
    ConfigurationError,
    FileFormatError,
    UnsupportedStructureError,
    did_you_mean,
)
from deepdft.fields.atoms import superposition
from deepdft.fields.atoms.tabulation import FloatArray, interval_polynomials
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.levels import LevelOfTheory
from deepdft.storage.whole_files import AtomicFile

_CHUNK = 1 << 18
"""Grid points evaluated at once."""

_PAIRS = 1 << 20
"""Pairs of point and atom evaluated at once in torch."""


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
        if not (self.spacing > 0 and np.isfinite(self.knots).all()) or self.knots.shape[1] < 2:
            raise ConfigurationError("Atomic tables need two finite knots and a positive spacing.")
        if self.knots[:, -1].any():
            raise ConfigurationError("Atomic tables must vanish at their last knot.")

    @staticmethod
    def load(name: str | Path) -> AtomicDensityTables:
        """Return tables that ship with the package ("pbe-gth-dzvp"), or those of a file.

        Raises:
            ConfigurationError: if there are none of that name.
            FileFormatError: if the file does not hold such tables.
        """
        return _load(str(name))

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

    @cached_property
    def _single(self) -> NDArray[np.float32]:
        return self._polynomials.astype(np.float32)

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

    def superpose(
        self, atoms: Atoms, points: ArrayLike, *, dtype: type[np.floating[Any]] = np.float64
    ) -> NDArray[np.floating[Any]]:
        """Return the sum of the atoms' densities, all periodic images included.

        Args:
            atoms: the structure, of any cell and periodicity.
            points: (n, 3), Å; along periodic directions they may lie anywhere.
            dtype: numpy.float64 or numpy.float32 (error about 1e-6 of the value).

        Returns:
            (n,) e/Å^3.

        Raises:
            UnsupportedStructureError: if an element has no table.
            ConfigurationError: if the points are not (n, 3) or not finite.
        """
        species = self._species(atoms.numbers)
        wrapped = _wrapped(as_points(points), atoms)
        return self._evaluate(atoms, species, wrapped, dtype)

    def superpose_images(
        self, numbers: NDArray[np.int64], positions: FloatArray, points: FloatArray
    ) -> FloatArray:
        """Return the sum of the densities of given atoms or images, without looking for others.

        Args:
            numbers: (m,) atomic numbers.
            positions: (m, 3) Å.
            points: (n, 3) Å.

        Returns:
            (n,) e/Å^3.

        Raises:
            UnsupportedStructureError: if an element has no table.
        """
        return np.asarray(
            superposition.superpose(
                points, positions, self._species(numbers), self._polynomials, self.spacing
            )
        )

    def _evaluate(
        self, atoms: Atoms, species: NDArray[np.int64], points: FloatArray, dtype: Any
    ) -> NDArray[np.floating[Any]]:
        if len(points) == 0:
            return np.zeros(0, dtype=dtype)
        images = images_in_reach(
            atoms.positions,
            atoms.cell.array,
            atoms.pbc,
            points.min(axis=0),
            points.max(axis=0),
            self.cutoff,
        )
        polynomials = self._single if np.dtype(dtype) == np.float32 else self._polynomials
        return superposition.superpose(
            points, images.positions, species[images.atoms], polynomials, self.spacing
        )

    def slab(
        self,
        atoms: Atoms,
        grid: Grid,
        axis: int,
        start: int,
        stop: int,
        *,
        dtype: type[np.floating[Any]] = np.float32,
    ) -> NDArray[np.floating[Any]]:
        """Return the superposition on layers start..stop-1 along `axis`, e/Å^3.

        Memory beyond the result does not grow with the grid.

        Raises:
            UnsupportedStructureError: if an element has no table.
            ConfigurationError: if there are no such layers.
        """
        if axis not in (0, 1, 2) or not 0 <= start <= stop <= grid.shape[axis]:
            raise ConfigurationError(
                f"Layers {start} to {stop} of axis {axis} are outside the grid {grid.shape}."
            )
        species = self._species(atoms.numbers)
        first, last = [0, 0, 0], list(grid.shape)
        first[axis], last[axis] = start, stop
        result = np.empty([b - a for a, b in zip(first, last, strict=True)], dtype=dtype)
        for low, high in superposition.boxes(first, last, _CHUNK):
            points = grid.points(low, high)
            values = self._evaluate(atoms, species, points.reshape(-1, 3), dtype)
            where = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
            result[where] = values.reshape(points.shape[:-1])
        return result

    def on_grid(
        self, atoms: Atoms, grid: Grid, *, dtype: type[np.floating[Any]] = np.float32
    ) -> Density:
        """Return the superposition on a grid (see `slab`)."""
        values = self.slab(atoms, grid, 0, 0, grid.shape[0], dtype=dtype)
        return Density(atoms, grid, values, level=self.level)

    def superpose_differentiable(self, atoms: Atoms, points: Tensor) -> Tensor:
        """Return the superposition at points (n, 3) with gradients with respect to them.

        For small sets: every point meets every image within reach of the set. Differentiable
        twice, also at nuclei.

        Raises:
            UnsupportedStructureError: if an element has no table.
            ConfigurationError: if the points are not (n, 3) or not finite.
        """
        species = self._species(atoms.numbers)
        located = as_points(points.detach().cpu().numpy())
        if len(located) == 0:
            return points.sum(dim=1)
        wrapped = _wrapped(located, atoms)
        shift = torch.as_tensor(wrapped - located, dtype=points.dtype, device=points.device)
        images = images_in_reach(
            atoms.positions,
            atoms.cell.array,
            atoms.pbc,
            wrapped.min(axis=0),
            wrapped.max(axis=0),
            self.cutoff,
        )
        centres = torch.as_tensor(images.positions, dtype=points.dtype, device=points.device)
        kinds = torch.as_tensor(species[images.atoms], device=points.device)
        chunk = max(1, _PAIRS // max(1, len(centres)))
        moved = points + shift
        parts = [moved[first : first + chunk] for first in range(0, len(moved), chunk)]
        return torch.cat([self._dense_sum(part, centres, kinds) for part in parts])

    def _dense_sum(self, points: Tensor, centres: Tensor, kinds: Tensor) -> Tensor:
        table = torch.as_tensor(self._polynomials, dtype=points.dtype, device=points.device)
        square = ((points[:, None, :] - centres[None, :, :]) ** 2).sum(dim=-1)
        # The tiny addend keeps both derivatives of the root finite at a nucleus, where the slope
        # of the density is zero.
        scaled = torch.sqrt(square + 1e-24) / self.spacing
        scaled = torch.clamp(scaled, max=float(table.shape[1]))
        interval = torch.clamp(scaled.detach().long(), max=table.shape[1] - 1)
        coefficients = table[kinds[None, :], interval]
        t = scaled - interval
        value = coefficients[..., 5]
        for power in range(4, -1, -1):
            value = value * t + coefficients[..., power]
        return value.sum(dim=1)

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


def _wrapped(points: FloatArray, atoms: Atoms) -> FloatArray:
    """Return the points moved by whole periods to where the cell is."""
    periodic = np.flatnonzero(atoms.pbc)
    if len(periodic) == 0 or len(points) == 0:
        return points
    vectors = atoms.cell.array[periodic]
    periods = np.floor(points @ np.linalg.pinv(vectors))
    result: FloatArray = points - periods @ vectors
    return result


@lru_cache(maxsize=8)
def _load(name: str) -> AtomicDensityTables:
    folder = files("deepdft.fields.atoms")
    known = sorted(entry.name[:-4] for entry in folder.iterdir() if entry.name.endswith(".npz"))
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
    try:
        with np.load(path, allow_pickle=False) as data:
            description = json.loads(str(data["description"]))
            return AtomicDensityTables(
                elements=tuple(description["elements"]),
                knots=data["knots"],
                spacing=float(description["spacing"]),
                level=LevelOfTheory.from_dict(description["level"]),
                source=str(description["source"]),
            )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{path} does not hold atomic density tables: {error}.") from error
