"""The Coulomb energy and potential of densities, fitted in PySCF's auxiliary basis.

A density is known by ``y = L^-1 b``, where ``b_P`` is its Coulomb integral with the auxiliary
function P and ``L L^T`` the metric of these functions. Then the energy of its repulsion is
``y.y / 2``, and its potential's matrix is that of the fitting tensor contracted with y.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg

from deepdft.arrays import FloatArray
from deepdft.electronic.auxiliary import AuxiliaryFunctions


class CoulombFitting:
    """Coulomb integrals of one molecule.

    Args:
        fitting: PySCF's density fitting (`pyscf.df.DF`), built.
    """

    def __init__(self, fitting: Any) -> None:
        self._fitting = fitting
        self._functions = AuxiliaryFunctions(fitting.auxmol)
        metric = fitting.auxmol.intor("int2c2e", hermi=1)
        self._factor = scipy.linalg.cholesky(metric, lower=True)
        self._n = fitting.mol.nao
        self._lower = np.tril_indices(self._n)

    def of_matrix(self, matrix: FloatArray) -> FloatArray:
        """Return y (auxiliary functions,) of a density matrix (n, n)."""
        packed = (matrix + matrix.T)[self._lower]
        packed[np.cumsum(np.arange(1, self._n + 1)) - 1] *= 0.5
        return np.concatenate([block @ packed for block in self._fitting.loop()])

    def of_points(self, points: FloatArray, weights: FloatArray, density: FloatArray) -> FloatArray:
        """Return y (auxiliary functions,) of a density given at points of a quadrature.

        Sums over points have an error. That of the fitted density is known, and is taken off.

        Args:
            points: (n, 3) bohr.
            weights: (n,) of the points, bohr^3.
            density: (n,) bohr^-3.
        """
        functions = self._functions
        charges = weights * density
        first = self._solved(functions.integrals(points, charges))
        fit = scipy.linalg.solve_triangular(self._factor, first, lower=True, trans=1)
        rest = charges - weights * functions.values(points, fit)
        return first + self._solved(functions.integrals(points, rest))

    def matrix(self, y: FloatArray) -> FloatArray:
        """Return the matrix (n, n) of the potential, Ha."""
        packed, row = np.zeros(len(self._lower[0])), 0
        for block in self._fitting.loop():
            packed += y[row : row + len(block)] @ block
            row += len(block)
        result = np.empty((self._n, self._n))
        result[self._lower] = packed
        result.T[self._lower] = packed
        return result

    def _solved(self, integrals: FloatArray) -> FloatArray:
        solved: FloatArray = scipy.linalg.solve_triangular(self._factor, integrals, lower=True)
        return solved
