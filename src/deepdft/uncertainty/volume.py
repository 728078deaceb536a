"""The expected absolute error of one structure at points and on grids, block by block."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.atomic import AtomicDensityTables
from deepdft.atomic.block_superposition import BlockSuperposition
from deepdft.density import FloatArray, Grid, as_points
from deepdft.prediction.blocks import block_points, block_shape, grid_blocks, spatial_groups
from deepdft.prediction.neighbours import NeighbourhoodSearch, moved_into_cell
from deepdft.prediction.threads import available_threads, run_in_threads

_BLOCK_POINTS = 512


class ErrorVolume:
    """Superposed shares of the error.

    Args:
        tables: shapes of the elements, 1/Å^3.
        atoms: the structure.
        amplitudes: (atoms,) integrals of the atoms' shares, electrons.
        threads: CPU threads; default: all that this process may use.
    """

    def __init__(
        self,
        tables: AtomicDensityTables,
        atoms: Atoms,
        amplitudes: FloatArray,
        threads: int | None = None,
    ) -> None:
        self._atoms = atoms
        self._cutoff = tables.cutoff
        self._superposition = BlockSuperposition(tables, atoms, amplitudes)
        self._threads = threads or available_threads()
        self._last_search: tuple[Grid, NeighbourhoodSearch] | None = None

    def at(self, points: ArrayLike) -> FloatArray:
        """Return the expected absolute error at points (n, 3) in Å: (n,) e/Å^3.

        Raises:
            ConfigurationError: if the points have another shape or are not finite.
        """
        positions = moved_into_cell(as_points(points), self._atoms)
        result = np.zeros(len(positions))
        if len(positions) == 0:
            return result
        lower, upper = positions.min(axis=0), positions.max(axis=0)
        search = NeighbourhoodSearch(self._atoms, lower, upper, self._cutoff)

        def fill(chosen: NDArray[np.int64]) -> None:
            result[chosen] = self._block(positions[chosen], search)

        run_in_threads(fill, spatial_groups(positions, _BLOCK_POINTS), self._threads)
        return result

    def on_grid(
        self, grid: Grid, start: tuple[int, int, int], stop: tuple[int, int, int]
    ) -> FloatArray:
        """Return the expected error on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        origin = np.array(start)
        result = np.zeros(np.array(stop) - origin)
        if result.size == 0:
            return result
        blocks = grid_blocks(grid, start, stop, block_shape(grid, _BLOCK_POINTS))
        search = self._search(grid)

        def fill(block: int) -> None:
            first, last = blocks.first[block], blocks.last[block]
            values = self._block(block_points(grid, first, last), search)
            (a, b, c), (d, e, f) = first - origin, last - origin
            result[a:d, b:e, c:f] = values.reshape(last - first)

        occupied = np.flatnonzero(search.occupied(blocks.lower, blocks.upper))
        run_in_threads(fill, occupied.tolist(), self._threads)
        return result

    def _search(self, grid: Grid) -> NeighbourhoodSearch:
        """Return the search for a whole grid, made once for all its parts."""
        if self._last_search is None or self._last_search[0] is not grid:
            whole = grid_blocks(grid, (0, 0, 0), grid.shape, grid.shape)
            # Wider by more than rounding, so that it holds the boxes of all blocks.
            lower, upper = whole.lower[0] - 1e-6, whole.upper[0] + 1e-6
            search = NeighbourhoodSearch(self._atoms, lower, upper, self._cutoff)
            self._last_search = (grid, search)
        return self._last_search[1]

    def _block(self, points: FloatArray, search: NeighbourhoodSearch) -> FloatArray:
        result = np.zeros(len(points))
        atoms, positions = search.near_points(points)
        if len(atoms):
            self._superposition.add_to(result, points, atoms, positions)
        return result
