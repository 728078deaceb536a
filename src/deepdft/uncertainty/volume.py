"""The expected absolute error of one structure at points and on grids, block by block."""

from __future__ import annotations

from functools import partial

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.density import FloatArray, Grid, as_points
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.block_superposition import BlockSuperposition
from deepdft.fields.walk import BlockWalk, into
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.threads import available_threads, run_in_threads

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
        self._superposition = BlockSuperposition(tables, atoms, amplitudes)
        run = partial(run_in_threads, threads=threads or available_threads())
        self._walk = BlockWalk(atoms, tables.cutoff, run)

    def at(self, points: ArrayLike) -> FloatArray:
        """Return the expected absolute error at points (n, 3) in Å: (n,) e/Å^3.

        Raises:
            ConfigurationError: if the points have another shape or are not finite.
        """
        positions = moved_into_cell(as_points(points), self._atoms)
        result = np.zeros(len(positions))
        self._walk.points(positions, _BLOCK_POINTS, self._block, into(result))
        return result

    def box(
        self, grid: Grid, start: tuple[int, int, int], stop: tuple[int, int, int]
    ) -> FloatArray:
        """Return the expected error on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        result = np.zeros(np.array(stop) - np.array(start))
        self._walk.grid(grid, start, stop, _BLOCK_POINTS, self._block, into(result))
        return result

    def _block(self, points: FloatArray, search: NeighbourhoodSearch) -> FloatArray:
        result = np.zeros(len(points))
        atoms, positions = search.near_points(points)
        if len(atoms):
            self._superposition.add_to(result, points, atoms, positions)
        return result
