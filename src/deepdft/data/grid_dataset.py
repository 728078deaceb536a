"""Densities on grids, read from the files of DFT codes."""

from __future__ import annotations

import os
import threading
from collections import Counter, OrderedDict
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
from deepdft.data.reading import read_density
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory
from deepdft.storage.tar_members import split_member

_CACHED_VALUES = 200_000_000
"""Grid values kept in memory (1.6 GB in float64)."""

_RECENT = threading.Lock()
"""Held while it is noted which densities were used last: training draws from several threads."""


class GridDataset(DensityDataset):
    """Density files as a dataset.

    Args:
        paths: one density each: a file, `ARCHIVE.tar::MEMBER` or `STORE::NAME`.
        level: level of theory; where None, that of the first file.
        mix_levels: accept files whose level of theory differs from it.
        read: reads one file (for tests and other sources).
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        level: LevelOfTheory | None = None,
        read: Callable[[str], Density] | None = None,
        *,
        mix_levels: bool = False,
    ) -> None:
        self.paths = [str(path) for path in paths]
        self._names = unique_names(self.paths)
        self._read = read or read_density
        self._mix_levels = mix_levels
        self._structures: dict[int, Atoms] = {}
        # The densities used last, with what draws from them.
        self._recent: OrderedDict[int, tuple[Density, LoadedValues]] = OrderedDict()
        self.level = LevelOfTheory() if level is None else level
        if level is None:
            first = self._read(self.paths[0])
            self.level = first.level
            self._remember(0, first)

    def density(self, index: int) -> Density:
        """Return a whole density; those used last are kept in memory."""
        return self._loaded(index)[0]

    def _loaded(self, index: int) -> tuple[Density, LoadedValues]:
        with _RECENT:
            if index in self._recent:
                self._recent.move_to_end(index)
                return self._recent[index]
        return self._remember(index, self._load(index))

    def _remember(self, index: int, density: Density) -> tuple[Density, LoadedValues]:
        # Files with x fastest give arrays in that order; every draw would copy them.
        density = replace(density, values=np.ascontiguousarray(density.values))
        loaded = density, LoadedValues(density.values)
        with _RECENT:
            self._structures[index] = density.atoms
            self._recent[index] = loaded
            total = sum(kept.grid.n_points for kept, _ in self._recent.values())
            while total > _CACHED_VALUES and len(self._recent) > 2:
                _, (oldest, _) = self._recent.popitem(last=False)
                total -= oldest.grid.n_points
        return loaded

    def _load(self, index: int) -> Density:
        density = self._read(self.paths[index])
        if not self._mix_levels:
            self.level.require_match(density.level, f"{self.paths[index]} does not fit the data")
        return density

    @property
    def names(self) -> list[str]:
        return self._names

    def atoms(self, index: int) -> Atoms:
        if index not in self._structures:
            self._remember(index, self._load(index))
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
        density, values = self._loaded(index)
        return draw_from_grid(
            values,
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
