"""The basis functions of a molecule at points."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.orbitals.packing import Shells, pack
from deepdft.fields.orbitals.regions import point_places
from deepdft.kernels.gaussians.basis_functions import fill_basis_functions
from deepdft.kernels.gaussians.densities import scratch
from deepdft.kernels.gaussians.polynomials import COMPONENTS


class BasisFunctions:
    """All basis functions of a molecule.

    Functions below `deepdft.fields.orbitals.packing.FUNCTION_THRESHOLD` all over a tile of 64
    points are left out there.

    Args:
        shells: shells of each atom, with exponents and coefficients in one unit of length...
        positions: (atoms, 3) ... and the positions in the same.
    """

    def __init__(self, shells: Sequence[Shells], positions: FloatArray) -> None:
        count = sum(shell.n_functions for of_atom in shells for shell in of_atom)
        packed = pack(shells, np.empty((count, 0)), np.float64)
        self._basis = packed.basis(np.arange(len(positions)), np.asarray(positions))
        self._functions = packed.functions
        self._scratch = {n: scratch(self._basis, packed.orbitals([]), n) for n in COMPONENTS[:2]}
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
        places = point_places(np.ascontiguousarray(points)).places
        found = fill_basis_functions(
            places, self._basis, self._scratch[components], self._rows, self._values
        )
        return self._values[:, :found], self._functions[self._rows[:found]]
