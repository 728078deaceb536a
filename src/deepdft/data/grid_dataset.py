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
from deepdft.data.reading import read_density, read_preview
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory, SharedLevel
from deepdft.storage.tar_members import split_member

_CACHED_BYTES = 1_600_000_000
"""Of densities, spin densities included, that are kept in memory."""
_CACHED_ATOMS = 2_000_000
"""Of structures that are kept in memory (some 200 MB)."""

_RECENT = threading.Lock()
"""Held while it is noted which densities were used last: training draws from several threads."""


class GridDataset(DensityDataset):
    """Density files as a dataset.

    Args:
        paths: one density each: a file, `ARCHIVE.tar::MEMBER` or `STORE::NAME`.
        level: level of theory; where None, that of the first file.
        mix_levels: accept files whose level of theory differs from it.
        read: reads one file (for tests and other sources).
        preview: reads what one tells of its structure before its values begin; by default the
            whole file is read.
    """

    def __init__(
        self,
        paths: Sequence[str | Path],
        level: LevelOfTheory | None = None,
        read: Callable[[str], Density] | None = None,
        *,
        preview: Callable[[str], Atoms] | None = None,
        mix_levels: bool = False,
    ) -> None:
        self.paths = [str(path) for path in paths]
        self._names = unique_names(self.paths)
        self._read = read or read_density
        self._preview = preview or (read_preview if read is None else None)
        self._mix_levels = mix_levels
        self._structures = _KeptStructures()
        self._previews = _KeptStructures()
        # The densities used last, with what draws from them.
        self._recent: OrderedDict[int, tuple[Density, LoadedValues]] = OrderedDict()
        self.level = LevelOfTheory() if level is None else level
        if level is None:
            first = self._read(self.paths[0])
            self.level = first.level
            self._remember(0, first)
        self._shared = [SharedLevel(self.level)]

    def compare_with(self, shared: SharedLevel, what: str) -> None:
        super().compare_with(shared, what)
        self._shared.append(shared)

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
            self._structures.keep(index, density.atoms)
            self._recent[index] = loaded
            total = sum(_bytes_of(kept) for kept, _ in self._recent.values())
            while total > _CACHED_BYTES and len(self._recent) > 2:
                _, (oldest, _) = self._recent.popitem(last=False)
                total -= _bytes_of(oldest)
        return loaded

    def _load(self, index: int) -> Density:
        density = self._read(self.paths[index])
        if not self._mix_levels:
            for shared in self._shared:
                shared.add(density.level, f"{self.paths[index]} does not fit the data")
        return density

    @property
    def names(self) -> list[str]:
        return self._names

    def atoms(self, index: int) -> Atoms:
        known = self._structures.get(index)
        return self._loaded(index)[0].atoms if known is None else known

    def preview(self, index: int) -> Atoms:
        if self._preview is None or index in self._structures:
            return self.atoms(index)
        found = self._previews.get(index)
        if found is None:
            found = self._preview(self.paths[index])
            self._previews.keep(index, found)
        return found

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


def _bytes_of(density: Density) -> int:
    # Sums of blocks take a thousandth of that.
    return density.values.nbytes + (0 if density.spin is None else density.spin.nbytes)


class _KeptStructures(dict[int, Atoms]):
    """Structures by number, as many as `_CACHED_ATOMS` allow; those that come first stay."""

    def __init__(self) -> None:
        super().__init__()
        self._atoms = 0

    def keep(self, index: int, atoms: Atoms) -> None:
        """Take in a structure if there is room."""
        size = len(atoms) + 20  # what every structure takes
        if index not in self and self._atoms + size <= _CACHED_ATOMS:
            self._atoms += size
            self[index] = atoms


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
