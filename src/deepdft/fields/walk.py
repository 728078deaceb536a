"""From points or a part of a grid to blocks of neighbouring points, with the atoms near them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import FloatArray, Grid
from deepdft.geometry.blocks import Index, block_points, block_shape, grid_blocks, spatial_groups
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch

Run = Callable[[Callable[[Any], None], Sequence[Any]], None]
"""Calls a function with each of some items, in any order or at the same time."""

Values = TypeVar("Values")

Block = Callable[[FloatArray, NeighbourhoodSearch], Values]
"""Computes values at points (n, 3), Å, that lie near each other."""

Assign = Callable[[Any, Values, Sequence[int]], None]
"""Puts a block's values, to be reshaped, to a place of the result."""


def into(result: FloatArray) -> Assign[FloatArray]:
    """Return what puts values into an array."""

    def assign(place: Any, values: FloatArray, shape: Sequence[int]) -> None:
        result[place] = values.reshape(shape)

    return assign


class BlockWalk:
    """Goes through points or grids of one structure block by block.

    Args:
        atoms: the structure.
        reach: largest distance between a point and an atom that matters to it, Å.
        run: does the blocks.
    """

    def __init__(self, atoms: Atoms, reach: float, run: Run) -> None:
        self._atoms = atoms
        self._reach = reach
        self._run = run
        self._last_search: tuple[Grid, NeighbourhoodSearch | None] | None = None

    def points(
        self, positions: FloatArray, size: int, block: Block[Values], assign: Assign[Values]
    ) -> None:
        """Go through points (n, 3), Å, in blocks of at most `size`."""
        if len(positions) == 0:
            return
        search = self.search(positions)

        def fill(chosen: NDArray[np.int64]) -> None:
            assign(chosen, block(positions[chosen], search), (len(chosen),))

        self._run(fill, spatial_groups(positions, size))

    def grid(
        self, grid: Grid, start: Index, stop: Index, size: int, block: Block[Values],
        assign: Assign[Values],
    ) -> None:  # fmt: skip
        """Go through the index box start:stop of a grid in blocks of about `size` points.

        Blocks without an atom in reach are left out; finding them takes no time. Places are
        counted from `start`.
        """
        if any(low >= high for low, high in zip(start, stop, strict=True)):
            return
        blocks = grid_blocks(grid, start, stop, block_shape(grid, size))
        search = self._grid_search(grid, blocks.lower.min(axis=0), blocks.upper.max(axis=0))
        origin = np.array(start)

        def fill(number: int) -> None:
            first, last = blocks.first[number], blocks.last[number]
            place = tuple(slice(a, b) for a, b in zip(first - origin, last - origin, strict=True))
            assign(place, block(block_points(grid, first, last), search), last - first)

        self._run(fill, np.flatnonzero(search.occupied(blocks.lower, blocks.upper)).tolist())

    def search(self, positions: FloatArray) -> NeighbourhoodSearch:
        """Return a search for the box around points."""
        return self._search(positions.min(axis=0), positions.max(axis=0))

    def grid_search(self, grid: Grid, start: Index, stop: Index) -> NeighbourhoodSearch:
        """Return a search for a part of a grid; from the second part on, one for all of it.

        Otherwise each of the slabs of a large structure would go through all its atoms.
        """
        part = grid_blocks(grid, start, stop, grid.shape)
        return self._grid_search(grid, part.lower.min(axis=0), part.upper.max(axis=0))

    def _grid_search(self, grid: Grid, lower: FloatArray, upper: FloatArray) -> NeighbourhoodSearch:
        last = self._last_search
        if last is None or last[0] is not grid:
            self._last_search = (grid, None)
            return self._search(lower, upper)
        if last[1] is not None:
            return last[1]
        whole = grid_blocks(grid, (0, 0, 0), grid.shape, grid.shape)
        # Wider by more than rounding, so that it holds the boxes of all blocks.
        search = self._search(whole.lower[0] - 1e-6, whole.upper[0] + 1e-6)
        self._last_search = (grid, search)
        return search

    def _search(self, lower: FloatArray, upper: FloatArray) -> NeighbourhoodSearch:
        return NeighbourhoodSearch(self._atoms, lower, upper, self._reach)
