"""Functionals integrated on PySCF's grids, faster than PySCF does with the wheels' own BLAS.

Basis functions on the grid are kept from iteration to iteration where memory allows, and matrix
products are NumPy's. What comes out agrees with PySCF's to rounding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyscf.dft.numint import NumInt

from deepdft.arrays import FloatArray
from deepdft.fields.orbitals.basis import Shell
from deepdft.fields.orbitals.functions import BasisFunctions
from deepdft.kernels.gaussians.basis_functions import weighted_sum

_BLOCK = 4096
"""Points of the grid treated at once; they lie near each other."""

_SMALL_BLOCK = 512
"""The same where functions are not kept: what belongs to them stays in the cache."""

_SMALLEST = 1e-12
"""Functions smaller than this (bohr^-3/2) at all points of a block are left out there."""

_SHARE = 0.6
"""Share of the memory that PySCF may use in which functions are kept."""

_DERIVATIVES = {"LDA": 0, "GGA": 1, "MGGA": 1}
_COMPONENTS = {0: 1, 1: 4}
_ROWS = {"LDA": 1, "GGA": 4, "MGGA": 5}
"""Values at a point: the density, its gradient, the density of kinetic energy."""


class KeptFunctions(NumInt):  # type: ignore[misc]  # PySCF has no types
    """PySCF's integration, but for closed shells: these are done here."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: list[tuple[FloatArray, NDArray[np.int64]]] = []
        self._kept_for: tuple[Any, ...] = ()

    def nr_rks(
        self, mol: Any, grids: Any, xc_code: str, dms: Any, relativity: int = 0, hermi: int = 1,
        max_memory: float = 2000, verbose: Any = None,
    ) -> tuple[float, float, FloatArray]:  # fmt: skip
        """Return the number of electrons, the energy (Ha) and the potential's matrix.

        As `pyscf.dft.numint.nr_rks`, for one density matrix.
        """
        kind = self._xc_type(xc_code)
        if kind not in _DERIVATIVES or np.ndim(dms) != 2 or hermi != 1:
            found: tuple[float, float, FloatArray] = super().nr_rks(
                mol, grids, xc_code, dms, relativity, hermi, max_memory, verbose
            )
            return found
        orbitals = _orbitals(dms)
        electrons = energy = 0.0
        matrix = _PotentialMatrix(mol.nao, kind)
        blocks = self._blocks(mol, grids, _DERIVATIVES[kind], max_memory)
        for start, functions, rows in blocks:
            weights = grids.weights[start : start + functions.shape[2]]
            density = _density(functions, rows, np.asarray(dms), orbitals, kind)
            values = density if kind != "LDA" else density[0]
            exc, vxc = self.eval_xc_eff(xc_code, values, deriv=1, xctype=kind, spin=0)[:2]
            electrons += float(density[0] @ weights)
            energy += float((density[0] * weights) @ exc)
            matrix.add(functions, rows, np.atleast_2d(vxc * weights))
        return electrons, energy, matrix.total

    def density_on_grid(
        self, mol: Any, grids: Any, matrix: Any, kind: str, max_memory: float = 2000
    ) -> FloatArray:
        """Return the density of a matrix at all points of a grid.

        Args:
            mol: PySCF's molecule.
            grids: PySCF's grid.
            matrix: (n, n) density matrix; with `mo_coeff` and `mo_occ` it is done faster.
            kind: "LDA" for values alone, (1, points), "GGA" with the gradient, (4, points).
            max_memory: MB that PySCF may use.

        Returns:
            In bohr^-3, the gradient in bohr^-4.
        """
        orbitals, result = _orbitals(matrix), np.empty((_ROWS[kind], len(grids.weights)))
        for start, functions, rows in self._blocks(mol, grids, _DERIVATIVES[kind], max_memory):
            stop = start + functions.shape[2]
            result[:, start:stop] = _density(functions, rows, np.asarray(matrix), orbitals, kind)
        return result

    def potential_on_grid(
        self, mol: Any, grids: Any, weighted: FloatArray, kind: str, max_memory: float = 2000
    ) -> FloatArray:
        """Return the matrix (n, n) of a potential given at the points of a grid, Ha.

        Args:
            mol: PySCF's molecule.
            grids: PySCF's grid.
            weighted: what `eval_xc_eff` returns first times the weights, (1 or 4, points).
            kind: "LDA" or "GGA".
            max_memory: MB that PySCF may use.
        """
        matrix = _PotentialMatrix(mol.nao, kind)
        for start, functions, rows in self._blocks(mol, grids, _DERIVATIVES[kind], max_memory):
            # A copy: it is changed.
            matrix.add(functions, rows, weighted[:, start : start + functions.shape[2]].copy())
        return matrix.total

    def _blocks(
        self, mol: Any, grids: Any, derivatives: int, max_memory: float
    ) -> Iterator[tuple[int, FloatArray, NDArray[np.int64]]]:
        """Yield the first point of each block, its functions (components, n, points) and rows."""
        count = len(grids.weights)
        wanted = (id(mol), id(grids.coords), derivatives)
        if self._kept_for != wanted:
            self._kept, self._kept_for = [], wanted
        size = 8e-6 * _COMPONENTS[derivatives] * mol.nao * count
        keep = bool(self._kept) or size < _SHARE * max_memory
        for number, start in enumerate(range(0, count, _BLOCK)):
            if number < len(self._kept):
                functions, rows = self._kept[number]
            else:
                points = grids.coords[start : start + _BLOCK]
                functions, rows = self._evaluated(mol, points, derivatives)
                if keep:
                    self._kept.append((functions, rows))
            yield start, functions, rows

    def _evaluated(
        self, mol: Any, points: FloatArray, derivatives: int
    ) -> tuple[FloatArray, NDArray[np.int64]]:
        values = self.eval_ao(mol, points, deriv=derivatives)
        values = np.asarray(values).reshape(-1, len(points), mol.nao).transpose(0, 2, 1)
        rows = np.flatnonzero(np.abs(values).max(axis=(0, 2)) > _SMALLEST)
        whole = len(rows) == mol.nao and values.flags.c_contiguous
        return values if whole else np.ascontiguousarray(values[:, rows]), rows


class CompiledFunctions(KeptFunctions):
    """The same with the compiled code of orbitals' densities, evaluated anew in every pass.

    For few passes, in which memory that is touched for the first time costs more than the
    arithmetic. Cartesian functions are left to PySCF.
    """

    def __init__(self) -> None:
        super().__init__()
        self._functions: tuple[Any, BasisFunctions] | None = None

    def _blocks(
        self, mol: Any, grids: Any, derivatives: int, max_memory: float
    ) -> Iterator[tuple[int, FloatArray, NDArray[np.int64]]]:
        if mol.cart:
            yield from super()._blocks(mol, grids, derivatives, max_memory)
            return
        if self._functions is None or self._functions[0] is not mol:
            self._functions = mol, BasisFunctions(_shells(mol), mol.atom_coords())
        for start in range(0, len(grids.weights), _SMALL_BLOCK):
            points = grids.coords[start : start + _SMALL_BLOCK]
            functions, rows = self._functions[1].at(points, derivatives)
            yield start, functions, rows


def _shells(mol: Any) -> list[tuple[Shell, ...]]:
    """Return the shells of each atom of a molecule, in atomic units."""

    def shell(number: int) -> Shell:
        table = mol._libcint_ctr_coeff(number).T
        return Shell(
            int(mol.bas_angular(number)),
            tuple(mol.bas_exp(number).tolist()),
            tuple(tuple(row) for row in table.tolist()),
        )

    return [tuple(shell(int(i)) for i in mol.atom_shell_ids(a)) for a in range(mol.natm)]


class _PotentialMatrix:
    """Matrix of a potential of the density, its gradient and its kinetic energy, block by block.

    Args:
        n: number of basis functions.
        kind: "LDA", "GGA" or "MGGA".
    """

    def __init__(self, n: int, kind: str) -> None:
        self._kind = kind
        self._half = np.zeros((n, n))
        self._kinetic = np.zeros((n, n)) if kind == "MGGA" else None

    def add(self, functions: FloatArray, rows: NDArray[np.int64], weighted: FloatArray) -> None:
        """Add a block of points; `weighted`, potentials times weights, is changed."""
        # Half of it, because the transpose is added at the end.
        weighted[0] *= 0.5
        place = np.ix_(rows, rows)
        scaled = np.empty(functions.shape[1:])
        weighted_sum(functions, weighted, scaled)
        self._half[place] += functions[0] @ scaled.T
        if self._kinetic is not None:
            for component in range(1, 4):
                part = functions[component]
                self._kinetic[place] += (0.5 * weighted[4] * part) @ part.T

    @property
    def total(self) -> FloatArray:
        """(n, n) Ha."""
        total: FloatArray = self._half + self._half.T
        return total if self._kinetic is None else total + self._kinetic


def _orbitals(matrix: Any) -> FloatArray | None:
    """Return the occupied orbitals times the roots of their occupations, if a matrix has them."""
    coefficients = getattr(matrix, "mo_coeff", None)
    if coefficients is None:
        return None
    occupations = np.asarray(matrix.mo_occ)
    filled = occupations > 0
    result: FloatArray = np.asarray(coefficients)[:, filled] * np.sqrt(occupations[filled])
    return result


def _density(
    functions: FloatArray, rows: NDArray[np.int64], matrix: FloatArray,
    orbitals: FloatArray | None, kind: str,
) -> FloatArray:  # fmt: skip
    """Return the density, and by kind its gradient and the kinetic energy's, (1, 4 or 5, n)."""
    result = np.empty((_ROWS[kind], functions.shape[2]))
    if orbitals is None:
        part = matrix[np.ix_(rows, rows)]
        left = (part + part.T) @ functions[0] / 2
        values = functions
    else:
        values = np.stack([orbitals[rows].T @ component for component in functions])
        left = values[0]
    result[0] = np.einsum("ip,ip->p", left, values[0])
    for component in range(1, len(values)):
        result[component] = 2 * np.einsum("ip,ip->p", left, values[component])
    if kind == "MGGA":
        slopes = values[1:4]
        lefts = slopes if orbitals is not None else [(part + part.T) / 2 @ s for s in slopes]
        result[4] = 0.5 * sum(
            np.einsum("ip,ip->p", one, two) for one, two in zip(lefts, slopes, strict=True)
        )
    return result
