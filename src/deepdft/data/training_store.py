"""The training store: many densities in one folder, read at random without loading whole grids.

See `deepdft.data.training_store_layout` for what lies where.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.data.dataset import EVALUATION_MARGIN, EVALUATION_SPACING, DensityDataset, Probes
from deepdft.data.grid_probes import GridValues, Places, draw_from_grid
from deepdft.data.training_store_layout import (
    ARRAYS,
    BLOCK,
    FORMAT,
    VERSION,
    Entry,
    read_attributes,
)
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.levels import LevelOfTheory, common_level
from deepdft.storage.damage import DAMAGE, reason_of, reported
from deepdft.storage.growing_array import StoredArray
from deepdft.storage.json_files import parse_json

_PREFETCHED_POINTS = 1 << 23
"""Larger densities (32 MiB) are not read whole for the sake of some probes."""


class TrainingStore:
    """A training store, open for reading: the densities that counted when it was opened.

    Args:
        path: the folder.
        first: open only the first so many densities.

    Attributes:
        path: the folder.
        levels: levels of theory that occur.
        names: one name per density, unique.

    Raises:
        FileFormatError: if it is no store, of a later version, or damaged.
    """

    def __init__(self, path: str | Path, first: int | None = None) -> None:
        self.path = os.fspath(path)
        known = read_attributes(path)
        if known.get("format") != FORMAT or known.get("version") != VERSION:
            raise FileFormatError(
                f"{path} is not a training store of version {VERSION}, but "
                f"{known.get('format')!r}, version {known.get('version')!r}."
            )
        try:
            self._count = int(known["count"]) if first is None else first
            if self._count < 0:
                raise ValueError(f"it counts {self._count} densities")
            self.levels = [LevelOfTheory.from_dict(level) for level in known["levels"]]
            self._arrays = {name: StoredArray(os.path.join(path, name)) for name in ARRAYS}
            for name in ("entries", "cells"):
                if self._count > self._arrays[name].rows:
                    raise ValueError(f"it counts {self._count} densities, '{name}' holds fewer")
            self._entries = self._arrays["entries"].read(0, self._count)
            self._cells = self._arrays["cells"].read(0, self._count)
            self._check()
            self.names = self._read_names()
            self._infos: dict[int, dict[str, Any]] = {}
        except FileFormatError:
            raise
        except (*DAMAGE, DeepDFTError) as error:
            raise FileFormatError(f"The store {path} is damaged: {reason_of(error)}.") from None

    def _check(self) -> None:
        if len(self._entries) == 0:
            return
        columns: Any = Entry(*self._entries.T)
        # Counts below these cannot overflow when they are multiplied.
        if self._entries.max() > 1 << 40 or max(c.max() for c in columns[1:4]) > 1 << 20:
            raise ValueError("an entry makes no sense")
        points = -(-columns.nx * columns.ny * columns.nz // BLOCK) * BLOCK
        spins = columns.spin_components * columns.nx * columns.ny * columns.nz
        ends: dict[str, Any] = {
            "density": columns.point + points,
            "block_sums": (columns.point + points) // BLOCK,
            "spin": np.where(columns.spin_components > 0, columns.spin + spins, 0),
            "numbers": columns.atom + columns.n_atoms,
            "positions": columns.atom + columns.n_atoms,
            "descriptions": columns.text + columns.n_bytes,
        }
        sensible = self._entries.min() >= 0 and columns.level.max() < len(self.levels)
        if not sensible or not np.isfinite(self._cells).all():
            raise ValueError("an entry makes no sense")
        for name, end in ends.items():
            if end.max() > self._arrays[name].rows:
                raise ValueError(f"'{name}' is shorter than its entries say")

    def _read_names(self) -> list[str]:
        last = self.entry(-1) if self._count else None
        end = 0 if last is None else last.text + last.n_bytes
        text = self._arrays["descriptions"].read(0, end).tobytes()
        names = []
        for first in self._entries[:, Entry._fields.index("text")].tolist():
            names.append(text[first : text.index(b"\n", first)].decode())
        return names

    def __len__(self) -> int:
        return self._count

    def entry(self, index: int) -> Entry:
        """Return the row of `entries` of a density."""
        return Entry(*self._entries[index].tolist())

    def atoms(self, index: int) -> Atoms:
        """Return the structure of a density; `info` has charge, group and what else is known."""
        entry = self.entry(index)
        span = entry.atom, entry.atom + entry.n_atoms
        return Atoms(
            numbers=self._numbers[slice(*span)],
            positions=self._arrays["positions"].read(*span),
            cell=self._cells[index, 12:21].reshape(3, 3),
            pbc=[bool(entry.periodic >> axis & 1) for axis in range(3)],
            info=self._info(index),
        )

    def _info(self, index: int) -> dict[str, Any]:
        if index not in self._infos:  # asked for in every draw
            self._infos[index] = self._metadata(index).get("info", {})
        return self._infos[index]

    def _metadata(self, index: int) -> dict[str, Any]:
        entry = self.entry(index)
        span = entry.text, entry.text + entry.n_bytes
        text = self._arrays["descriptions"].read(*span).tobytes()
        with reported(f"The store {self.path}"):
            known = dict(parse_json(text[text.index(b"\n") :], f"The store {self.path}"))
            if not isinstance(known.get("info", {}), dict):
                raise ValueError("what it tells of a structure is no mapping")
            return known

    @cached_property
    def _numbers(self) -> NDArray[np.uint8]:
        last = self.entry(-1) if self._count else None
        end = 0 if last is None else last.atom + last.n_atoms
        numbers: NDArray[np.uint8] = self._arrays["numbers"].read(0, end)
        return numbers

    def elements(self) -> list[int]:
        """Return the atomic numbers that occur, ascending."""
        return [int(number) for number in np.unique(self._numbers)]

    def grid(self, index: int) -> Grid:
        """Return the grid of a density."""
        entry, numbers = self.entry(index), self._cells[index]
        return Grid(numbers[:9].reshape(3, 3), (entry.nx, entry.ny, entry.nz), numbers[9:12])

    def level(self, index: int) -> LevelOfTheory:
        """Return the level of theory of a density."""
        return self.levels[self.entry(index).level]

    def n_electrons(self, index: int) -> float:
        """Return the integral of a density."""
        return float(self._cells[index, 21])

    def values(self, index: int) -> StoredValues:
        """Return the values of a density, to be picked at random."""
        entry = self.entry(index)
        first, count = entry.point // BLOCK, entry.padded // BLOCK
        sums = self._arrays["block_sums"].read(first, first + count)
        return StoredValues(self._arrays["density"], entry, sums)

    def prefetch(self, index: int) -> None:
        """Have the system read a density that will soon be needed, if it is not too large."""
        entry = self.entry(index)
        if entry.padded <= _PREFETCHED_POINTS:
            self._arrays["density"].prefetch(entry.point, entry.point + entry.padded)

    def slab(self, index: int, start: int, stop: int) -> NDArray[np.float32]:
        """Return the layers start..stop-1 along the first axis, e/Å^3."""
        entry = self.entry(index)
        layer = entry.ny * entry.nz
        start, stop, _ = slice(start, stop).indices(entry.nx)
        stop = max(start, stop)
        flat = self._arrays["density"].read(entry.point + start * layer, entry.point + stop * layer)
        return flat.reshape(stop - start, entry.ny, entry.nz)

    def density(self, index: int) -> Density:
        """Return a whole density, with its spin density, metadata and notes."""
        entry = self.entry(index)
        shape = (entry.nx, entry.ny, entry.nz)
        spin = None
        if entry.spin_components:
            count = entry.spin_components * entry.n_points
            spin = self._arrays["spin"].read(entry.spin, entry.spin + count)
            spin = spin.reshape(shape if entry.spin_components == 1 else (3, *shape))
        metadata = self._metadata(index)
        metadata.pop("info", None)
        values = self.slab(index, 0, entry.nx)
        return Density(
            self.atoms(index), self.grid(index), values, spin, self.level(index), metadata
        )


class StoredValues(GridValues):
    """The values of one density in a store."""

    def __init__(self, array: StoredArray, entry: Entry, block_sums: FloatArray) -> None:
        super().__init__(entry.n_points, block_sums)
        self._array = array
        self._first = entry.point

    def take(self, places: Places) -> FloatArray:
        """Return the values at flat indices (n,), float64."""
        values: FloatArray = self._array.take(self._first + places).astype(np.float64)
        return values

    def blocks(self, numbers: Places) -> NDArray[np.floating[Any]]:
        """Return whole blocks (n, BLOCK)."""
        places = (self._first + numbers * BLOCK)[:, None] + np.arange(BLOCK)
        return self._array.take(places.reshape(-1)).reshape(-1, BLOCK)


class TrainingStoreDataset(DensityDataset):
    """A training store as a dataset.

    Args:
        path: the folder.
        level: level of theory, instead of that of the first density.
        mix_levels: accept densities whose level of theory differs from it.

    Raises:
        FileFormatError: if it is no store or damaged.
        ConfigurationError: if it is empty.
        LevelOfTheoryError: if levels of theory differ and `mix_levels` is not set.
    """

    def __init__(
        self, path: str | Path, level: LevelOfTheory | None = None, *, mix_levels: bool = False
    ) -> None:
        self.store = TrainingStore(path)
        if len(self.store) == 0:
            raise ConfigurationError(f"The store {path} holds no density.")
        known = [self.store.level(0) if level is None else level, *self.store.levels]
        self.level = known[0]
        if not mix_levels:
            self.level = common_level(known, f"The store {path} does not fit the data")

    @property
    def names(self) -> list[str]:
        return self.store.names

    def atoms(self, index: int) -> Atoms:
        return self.store.atoms(index)

    def elements(self) -> list[int]:
        return self.store.elements()

    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        return draw_from_grid(
            self.store.values(index),
            self.store.atoms(index),
            self.store.grid(index),
            count,
            generator,
            cutoff=cutoff,
            importance=importance,
        )

    def prefetch(self, index: int) -> None:
        self.store.prefetch(index)

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        return self.store.grid(index)

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        return self.store.slab(index, start, stop)

    def on_grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Density:
        return self.store.density(index)

    def n_electrons(self, index: int) -> float:
        return self.store.n_electrons(index)
