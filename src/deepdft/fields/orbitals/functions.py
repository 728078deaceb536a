"""The basis functions of a structure at points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.orbitals.packing import Shells, pack
from deepdft.fields.orbitals.regions import Region, point_places
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.kernels.gaussians.basis_functions import fill_basis_functions
from deepdft.kernels.gaussians.densities import Scratch, scratch
from deepdft.kernels.gaussians.polynomials import COMPONENTS


class BasisFunctions:
    """All basis functions of a structure.

    Functions below `deepdft.fields.orbitals.packing.FUNCTION_THRESHOLD` all over a tile of 64
    points are left out there.

    Args:
        shells: shells of each atom, with exponents and coefficients in one unit of length...
        positions: (atoms, 3) ... and the positions in the same.
        cell: (3, 3) vectors as rows, if functions are summed over their images (the Gamma point).
    """

    def __init__(
        self, shells: Sequence[Shells], positions: FloatArray, cell: FloatArray | None = None
    ) -> None:
        count = sum(shell.n_functions for of_atom in shells for shell in of_atom)
        self._packed = pack(shells, np.empty((count, 0)), np.float64)
        self._positions, self._cell = np.asarray(positions), cell
        self._basis = self._packed.basis(np.arange(len(positions)), self._positions)
        self._scratch: dict[int, Scratch] = {}
        self._rows = np.empty(count, np.int64)
        self._values = np.empty((0, count, 0))

    def at(self, points: FloatArray, order: int = 0) -> tuple[NDArray[np.float64], IntegerArray]:
        """Return the functions that reach points, and which ones they are.

        Args:
            points: (n, 3).
            order: 0 for values, 1 with their gradients.

        Returns:
            (1 or 4, m, n) values, and gradients, valid until the next call; (m,) functions.
        """
        components, n = COMPONENTS[order], len(points)
        if self._values.shape[::2] != (components, n):
            self._values = np.empty((components, len(self._rows), n))
        region = point_places(np.ascontiguousarray(points))
        if self._cell is not None:
            self._gather(region, self._cell)
        if components not in self._scratch:
            self._scratch[components] = scratch(self._basis, self._packed.orbitals([]), components)
        found = fill_basis_functions(
            region.places, self._basis, self._scratch[components], self._rows, self._values
        )
        return self._values[:, :found], self._packed.functions[self._rows[:found]]

    def _gather(self, region: Region, cell: FloatArray) -> None:
        """Take the images in reach of a region."""
        images = images_in_reach(
            self._positions, cell, True, region.lower, region.upper, self._packed.reach
        )
        self._basis = self._packed.basis(images.atoms, images.positions)
        self._scratch.clear()
