"""Densities on grids, read from the files of DFT codes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.data.dataset import (
    EVALUATION_MARGIN,
    EVALUATION_SPACING,
    DensityDataset,
    FloatArray,
    Probes,
)
from deepdft.density import Density, Grid, LevelOfTheory
from deepdft.errors import UnsupportedStructureError
from deepdft.graph import probe_edges

_CACHED_VALUES = 200_000_000
"""Grid values kept in memory (1.6 GB in float64)."""


class GridDataset(DensityDataset):
    """Density files as a dataset.

    Args:
        paths: one file per structure.
        level: level of theory; where None, that of the first file.
        mix_levels: accept files whose level of theory differs from it.
        read: reads one file (for tests and other sources).
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        level: LevelOfTheory | None = None,
        read: Callable[[str | Path], Density] | None = None,
        *,
        mix_levels: bool = False,
    ) -> None:
        if read is None:
            from deepdft.io import read as read_file

            read = read_file
        self.paths = [str(path) for path in paths]
        self._names = _unique_names(self.paths)
        self._read = read
        first = read(self.paths[0])
        self.level = first.level if level is None else level
        kept = max(2, min(10_000, _CACHED_VALUES // first.grid.n_points))
        self.density = functools.lru_cache(maxsize=kept)(self._load)
        self._structures: dict[int, Atoms] = {}
        self._mix_levels = mix_levels

    def _load(self, index: int) -> Density:
        density = self._read(self.paths[index])
        if not self._mix_levels:
            self.level.require_match(density.level, f"{self.paths[index]} does not fit the data")
        self._structures[index] = density.atoms
        return density

    @property
    def names(self) -> list[str]:
        return self._names

    def atoms(self, index: int) -> Atoms:
        if index not in self._structures:
            self._structures[index] = self.density(index).atoms
        return self._structures[index]

    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        density = self.density(index)
        flat = density.values.reshape(-1)
        n_large = min(round(importance * count), count - 1) if flat.any() else 0
        chosen, in_reach = _drawn_in_reach(
            density, count - n_large, cutoff, lambda n: generator.integers(flat.size, size=n)
        )
        if not n_large:
            values = flat[chosen].astype(np.float64)
            return Probes(_grid_points(density.grid, chosen), values, np.ones(count))
        cumulative = np.cumsum(np.abs(flat), dtype=np.float64)

        def where_large(n: int) -> NDArray[np.int64]:
            where = generator.random(n) * cumulative[-1]
            places: NDArray[np.int64] = np.searchsorted(cumulative, where, side="right")
            return places.clip(max=flat.size - 1)

        large, large_in_reach = _drawn_in_reach(density, n_large, cutoff, where_large)
        chosen = np.concatenate((chosen, large))
        values = flat[chosen].astype(np.float64)
        # How much likelier than a uniform draw from the points in reach a large one hits a point.
        relative = np.abs(values) * (flat.size * in_reach / (cumulative[-1] * large_in_reach))
        fraction = n_large / count
        weights = 1.0 / ((1.0 - fraction) + fraction * relative)
        return Probes(_grid_points(density.grid, chosen), values, weights)

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        return self.density(index).grid

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        return self.density(index).values[start:stop]

    def n_electrons(self, index: int) -> float:
        return self.density(index).n_electrons


def _drawn_in_reach(
    density: Density, count: int, cutoff: float, draw: Callable[[int], NDArray[np.int64]]
) -> tuple[NDArray[np.int64], float]:
    """Draw grid points until `count` have an atom in reach.

    Returns:
        Flat indices (count,) and the fraction of all drawn points that had one.

    Raises:
        UnsupportedStructureError: if no grid point has an atom in reach.
    """
    kept: list[NDArray[np.int64]] = []
    n_kept = n_tried = 0
    size = max(count, 256)
    while n_kept < count:
        trial = draw(size)
        points = _grid_points(density.grid, trial)
        trial = trial[probe_edges(density.atoms, points, cutoff).in_reach.numpy()]
        kept.append(trial)
        n_kept += len(trial)
        n_tried += size
        if n_kept == 0 and n_tried > 20 * density.grid.n_points:
            raise UnsupportedStructureError(
                f"The density of {density.atoms.get_chemical_formula()} has no grid point within "
                f"{cutoff} Å of an atom; atoms and grid do not belong together."
            )
        size = min(2 * size, 1 << 16)
    return np.concatenate(kept)[:count], n_kept / n_tried


def _grid_points(grid: Grid, flat_indices: NDArray[np.int64]) -> FloatArray:
    ijk = np.stack(np.unravel_index(flat_indices, grid.shape), axis=1)
    points: FloatArray = grid.origin + (ijk / np.array(grid.shape)) @ grid.cell
    return points


def _unique_names(paths: Sequence[str]) -> list[str]:
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)
