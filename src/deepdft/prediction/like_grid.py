"""The grid of a density file, for a prediction at the same points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.geometry.displacement import SAME_CELL


def grid_like(atoms: Atoms, grid: Grid, path: str | Path) -> Grid:
    """Return the grid of a file for a structure.

    Along periodic axes the edges of the grid become exactly those of the structure's cell, which
    files round.

    Args:
        atoms: the structure.
        grid: the points of the file.
        path: the file, for the error.

    Raises:
        ConfigurationError: if the structure is periodic and the file is of another cell.
    """
    cell = np.asarray(atoms.cell)
    edges = grid.cell.copy()
    for axis in np.flatnonzero(atoms.pbc):
        if not np.allclose(cell[axis], edges[axis], rtol=0, atol=SAME_CELL):
            raise ConfigurationError(
                f"The grid of {path} is of another cell than {atoms.get_chemical_formula()}: along "
                f"{'abc'[axis]} it spans {_vector(edges[axis])}, not {_vector(cell[axis])} Å."
            )
        edges[axis] = cell[axis]
    return Grid(edges, grid.shape, grid.origin)


def _vector(vector: np.ndarray) -> str:
    return f"({', '.join(f'{x:.4f}' for x in vector)})"
