"""Reference densities as a dataset: structures, random probes with values, values on grids.

Two kinds exist. Densities on a grid (files of DFT codes) know their values on that grid alone;
densities given by orbitals know them anywhere. Training and evaluation see the same interface.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Density, Grid
from deepdft.levels import LevelOfTheory, SharedLevel

EVALUATION_SPACING = 0.1
"""Spacing of the grid on which molecular densities are compared, Å."""

EVALUATION_MARGIN = 5.0
"""How far that grid reaches beyond the outermost nuclei, Å."""


class Probes(NamedTuple):
    """Random points of one structure.

    Attributes:
        points: (n, 3) Å.
        values: (n,) reference density, e/Å^3.
        weights: (n,) so that ``mean(weights * f(points))`` estimates the mean of f over uniform
            points; one where sampling is uniform.
    """

    points: FloatArray
    values: FloatArray
    weights: FloatArray


class DensityDataset(ABC):
    """A sequence of structures with reference densities.

    Attributes:
        level: level of theory of all of them.
    """

    level: LevelOfTheory

    def compare_with(self, shared: SharedLevel, what: str) -> None:
        """Compare the level of theory with others', also of densities that are read later.

        Args:
            shared: what is known of the others.
            what: begins the message.

        Raises:
            LevelOfTheoryError: if they are known to differ.
        """
        shared.add(self.level, what)

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """One name per structure, unique."""

    @abstractmethod
    def atoms(self, index: int) -> Atoms:
        """Return a structure."""

    def preview(self, index: int) -> Atoms:
        """Return a structure with elements, initial moments and `info` that are right.

        Positions and cell may not be, where it would take a whole density to know them.
        """
        return self.atoms(index)

    @abstractmethod
    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        """Draw random points within `cutoff` (Å) of an atom.

        Args:
            index: which structure.
            count: number of points.
            generator: source of randomness; the draw is a function of its state.
            cutoff: points with no atom closer than this are never drawn.
            importance: fraction drawn where the density is large.
        """

    def prefetch(self, index: int) -> None:  # noqa: B027 - most kinds have nothing to prepare
        """Say that a structure is about to be drawn from, so that reading it may begin."""

    @abstractmethod
    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        """Return the grid for evaluation: the file's own, or one around the molecule."""

    @abstractmethod
    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        """Return reference values on layers start:stop along axis 0 of `grid`, e/Å^3."""

    def on_grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Density:
        """Return a whole reference density on the grid for evaluation.

        Densities that come from files have their spin density, level of theory and metadata.
        """
        grid = self.grid(index, spacing, margin)
        values = self.slab(index, grid, 0, grid.shape[0])
        return Density(self.atoms(index), grid, values, level=self.level)

    @abstractmethod
    def n_electrons(self, index: int) -> float:
        """Return the number of electrons of a reference density."""

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, indices: Sequence[int]) -> DensityDataset:
        """Return a view on some of the structures."""
        return _Subset(self, indices)

    def elements(self) -> list[int]:
        """Return the atomic numbers that occur, ascending."""
        found: set[int] = set()
        for index in range(len(self)):
            found.update(int(z) for z in self.preview(index).numbers)
        return sorted(found)


class _Subset(DensityDataset):
    def __init__(self, parent: DensityDataset, indices: Sequence[int]) -> None:
        self.parent = parent
        self.indices = [int(i) for i in indices]
        self.level = parent.level

    def compare_with(self, shared: SharedLevel, what: str) -> None:
        self.parent.compare_with(shared, what)

    @property
    def names(self) -> list[str]:
        names = self.parent.names
        return [names[i] for i in self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def atoms(self, index: int) -> Atoms:
        return self.parent.atoms(self.indices[index])

    def preview(self, index: int) -> Atoms:
        return self.parent.preview(self.indices[index])

    def prefetch(self, index: int) -> None:
        self.parent.prefetch(self.indices[index])

    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        return self.parent.draw(
            self.indices[index], count, generator, cutoff=cutoff, importance=importance
        )

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        return self.parent.grid(self.indices[index], spacing, margin)

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        return self.parent.slab(self.indices[index], grid, start, stop)

    def on_grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Density:
        return self.parent.on_grid(self.indices[index], spacing, margin)

    def n_electrons(self, index: int) -> float:
        return self.parent.n_electrons(self.indices[index])
