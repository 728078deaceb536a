"""Densities on grids, read from the files of DFT codes."""

from __future__ import annotations

import functools
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.data.dataset import (
    EVALUATION_MARGIN,
    EVALUATION_SPACING,
    DensityDataset,
    Probes,
)
from deepdft.data.grid_probes import LoadedValues, draw_from_grid
from deepdft.density import Density, Grid, LevelOfTheory
from deepdft.errors import ConfigurationError
from deepdft.io.archive import split_member

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
        self._names = unique_names(self.paths)
        self._read = read
        first = read(self.paths[0])
        self.level = first.level if level is None else level
        kept = max(2, min(10_000, _CACHED_VALUES // first.grid.n_points))
        self.density = functools.lru_cache(maxsize=kept)(self._load)
        self._values = functools.lru_cache(maxsize=kept)(self._load_values)
        self._structures: dict[int, Atoms] = {}
        self._mix_levels = mix_levels

    def _load(self, index: int) -> Density:
        density = self._read(self.paths[index])
        if not self._mix_levels:
            self.level.require_match(density.level, f"{self.paths[index]} does not fit the data")
        self._structures[index] = density.atoms
        # Files with x fastest give arrays in that order; every draw would copy them.
        return replace(density, values=np.ascontiguousarray(density.values))

    def _load_values(self, index: int) -> LoadedValues:
        return LoadedValues(self.density(index).values)

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
        return draw_from_grid(
            self._values(index),
            density.atoms,
            density.grid,
            count,
            generator,
            cutoff=cutoff,
            importance=importance,
        )

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        return self.density(index).grid

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        return self.density(index).values[start:stop]

    def on_grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Density:
        # Not kept in memory: who asks for whole densities goes through them once.
        return self._load(index)

    def n_electrons(self, index: int) -> float:
        return self.density(index).n_electrons


def unique_names(paths: Sequence[str]) -> list[str]:
    """Return the file names of density files, with as much of their folders as tells them apart.

    Raises:
        ConfigurationError: if a path is given twice.
    """
    repeated = [path for path, count in Counter(paths).items() if count > 1]
    if repeated:
        raise ConfigurationError(
            f"The density {repeated[0]} is given {paths.count(repeated[0])} times."
        )
    names = [_file_name(path) for path in paths]
    if len(set(names)) == len(names):
        return names
    folders = {os.path.dirname(path) for path in paths}
    try:
        common = os.path.commonpath(folders)
    except ValueError:  # absolute and relative paths, or several drives
        return list(paths)
    return [os.path.relpath(path, common) if common else path for path in paths]


def _file_name(path: str) -> str:
    archive, member = split_member(path)
    return os.path.basename(archive if member is None else member)
