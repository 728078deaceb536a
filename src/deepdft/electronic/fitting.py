"""The Coulomb energy and potential of densities, fitted in PySCF's auxiliary basis.

A density is known by ``y = L^-1 b``, where ``b_P`` is its Coulomb integral with the auxiliary
function P and ``L L^T`` the metric of these functions. Then the energy of its repulsion is
``y.y / 2``, and its potential's matrix is that of the integrals (mn|P) contracted with ``L^-T y``.
An SCF calculation contracts the integrals with ``L^-1`` once and for all; where only one or two
matrices are wanted, that costs as much as the integrals themselves.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import scipy.linalg

from deepdft.arrays import FloatArray
from deepdft.electronic.auxiliary import AuxiliaryFunctions

_SHARE = 0.6
"""Share of the memory that PySCF may use in which integrals are kept."""

_NEGLIGIBLE = 1e-12
"""Overlap of primitive functions below which their integrals are left out.

PySCF's own limit is 1e-26. The largest integral of molecules of 20 atoms changes by 1e-13, and a
third of the time is saved.
"""

_BLOCK = 2e8
"""Bytes of integrals that are computed at once."""


class Fitting(Protocol):
    """Contractions of a molecule's integrals with auxiliary functions.

    Attributes:
        mol, auxmol: PySCF's molecules of the orbitals' and the auxiliary basis.
        is_kept: whether the integrals are there for another contraction.
    """

    mol: Any
    auxmol: Any
    is_kept: bool

    def of_pairs(self, pairs: FloatArray, factor: FloatArray) -> FloatArray:
        """Return y (auxiliary functions,) of a sum over pairs of functions (n (n + 1) / 2,)."""

    def on_pairs(self, y: FloatArray, factor: FloatArray) -> FloatArray:
        """Return the potential of y for all pairs of functions."""


class SharedFitting:
    """Those that an SCF calculation has contracted already.

    Args:
        fitting: PySCF's density fitting (`pyscf.df.DF`), built.
    """

    def __init__(self, fitting: Any) -> None:
        self._fitting = fitting
        self.mol, self.auxmol = fitting.mol, fitting.auxmol
        self.is_kept = True

    def of_pairs(self, pairs: FloatArray, factor: FloatArray) -> FloatArray:
        """See `Fitting`."""
        return np.concatenate([block @ pairs for block in self._fitting.loop()])

    def on_pairs(self, y: FloatArray, factor: FloatArray) -> FloatArray:
        """See `Fitting`."""
        n, row = self.mol.nao, 0
        result = np.zeros(n * (n + 1) // 2)
        for block in self._fitting.loop():
            result += y[row : row + len(block)] @ block
            row += len(block)
        return result


class OwnFitting:
    """Bare integrals, kept after the first contraction where memory allows.

    Args:
        molecule: PySCF's.
        auxiliary_basis: its name.
        max_memory: MB that PySCF may use.
    """

    def __init__(self, molecule: Any, auxiliary_basis: str, max_memory: float) -> None:
        from pyscf.df.addons import make_auxmol

        self.mol, self.auxmol = molecule, make_auxmol(molecule, auxiliary_basis)
        self._pairs = molecule.nao * (molecule.nao + 1) // 2
        self.is_kept = 8e-6 * self._pairs * self.auxmol.nao < _SHARE * max_memory
        self._kept: list[FloatArray] = []

    def of_pairs(self, pairs: FloatArray, factor: FloatArray) -> FloatArray:
        """See `Fitting`."""
        integrals = np.concatenate([pairs @ block for block in self._blocks()])
        solved: FloatArray = scipy.linalg.solve_triangular(factor, integrals, lower=True)
        return solved

    def on_pairs(self, y: FloatArray, factor: FloatArray) -> FloatArray:
        """See `Fitting`."""
        fit = scipy.linalg.solve_triangular(factor, y, lower=True, trans=1)
        result, first = np.zeros(self._pairs), 0
        for block in self._blocks():
            result += block @ fit[first : first + block.shape[1]]
            first += block.shape[1]
        return result

    def _blocks(self) -> Iterator[FloatArray]:
        """Yield integrals (pairs, some of the auxiliary functions)."""
        if self._kept:
            yield from self._kept
            return
        for block in self._computed():
            if self.is_kept:
                self._kept.append(block)
            yield block

    def _computed(self) -> Iterator[FloatArray]:
        from pyscf.df.incore import aux_e2

        places, shells = self.auxmol.ao_loc_nr(), self.mol.nbas
        most = max(int(np.diff(places).max()), int(_BLOCK / 8 / self._pairs))
        first = 0
        while first < self.auxmol.nbas:
            last = int(np.searchsorted(places, places[first] + most, side="right")) - 1
            part = (0, shells, 0, shells, first, last)
            with self.mol.with_integral_screen(_NEGLIGIBLE):
                block = aux_e2(self.mol, self.auxmol, "int3c2e", aosym="s2ij", shls_slice=part)
            yield block
            first = last


class CoulombFitting:
    """Coulomb integrals of one molecule.

    Args:
        fitting: contracts them.
    """

    def __init__(self, fitting: Fitting) -> None:
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
        return self._fitting.of_pairs(packed, self._factor)

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
        packed = self._fitting.on_pairs(y, self._factor)
        result = np.empty((self._n, self._n))
        result[self._lower] = packed
        result.T[self._lower] = packed
        return result

    @property
    def is_kept(self) -> bool:
        """Whether `matrix` finds its integrals ready."""
        return self._fitting.is_kept

    def potential(self, points: FloatArray, y: FloatArray) -> FloatArray:
        """Return the potential (n,) at points (n, 3) in bohr, Ha."""
        fit = scipy.linalg.solve_triangular(self._factor, y, lower=True, trans=1)
        return self._functions.potentials(points, fit)

    def _solved(self, integrals: FloatArray) -> FloatArray:
        solved: FloatArray = scipy.linalg.solve_triangular(self._factor, integrals, lower=True)
        return solved
