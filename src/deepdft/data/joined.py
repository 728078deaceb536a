"""Several datasets as one."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate
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
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.levels import SharedLevel


class JoinedDataset(DensityDataset):
    """Datasets one after the other, at the level of theory of the first.

    Args:
        parts: the datasets.
        titles: a name for each; where names of structures occur in several parts, all of them are
            preceded by it.
        mix_levels: accept different levels of theory.

    Raises:
        ConfigurationError: if a density is given twice.
        LevelOfTheoryError: if levels of theory differ and `mix_levels` is not set.
    """

    def __init__(
        self,
        parts: Sequence[DensityDataset],
        titles: Sequence[str],
        *,
        mix_levels: bool = False,
    ) -> None:
        self.parts = list(parts)
        self.level = parts[0].level
        self._ends = list(accumulate(len(part) for part in parts))
        if not mix_levels:
            what = (
                f"{', '.join(titles[:5])}{', ...' if len(titles) > 5 else ''} do not fit together"
            )
            shared = SharedLevel()
            for part in parts:
                part.compare_with(shared, what)
            self.level = shared.level
        self._names = [name for part in parts for name in part.names]
        if max(Counter(self._names).values()) > 1:
            self._names = [
                f"{title}/{name}"
                for part, title in zip(parts, titles, strict=True)
                for name in part.names
            ]
        name, count = Counter(self._names).most_common(1)[0]
        if count > 1:
            raise ConfigurationError(f"The density {name} is given {count} times.")

    def compare_with(self, shared: SharedLevel, what: str) -> None:
        for part in self.parts:
            part.compare_with(shared, what)

    def _locate(self, index: int) -> tuple[DensityDataset, int]:
        number = bisect_right(self._ends, index)
        if index < 0 or number == len(self.parts):
            raise IndexError(index)
        first = self._ends[number - 1] if number else 0
        return self.parts[number], index - first

    @property
    def names(self) -> list[str]:
        return self._names

    def atoms(self, index: int) -> Atoms:
        part, own = self._locate(index)
        return part.atoms(own)

    def preview(self, index: int) -> Atoms:
        part, own = self._locate(index)
        return part.preview(own)

    def elements(self) -> list[int]:
        return sorted({number for part in self.parts for number in part.elements()})

    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        part, own = self._locate(index)
        return part.draw(own, count, generator, cutoff=cutoff, importance=importance)

    def prefetch(self, index: int) -> None:
        part, own = self._locate(index)
        part.prefetch(own)

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        part, own = self._locate(index)
        return part.grid(own, spacing, margin)

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        part, own = self._locate(index)
        return part.slab(own, grid, start, stop)

    def on_grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Density:
        part, own = self._locate(index)
        return part.on_grid(own, spacing, margin)

    def n_electrons(self, index: int) -> float:
        part, own = self._locate(index)
        return part.n_electrons(own)
