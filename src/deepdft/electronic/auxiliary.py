"""Functions of an auxiliary basis and their potentials at points, from tables.

The Coulomb potential of ``S_lm exp(-a r^2)`` is ``(2 pi / a) S_lm F_l(a r^2)`` with the Boys
function F_l; from a distance it is that of a multipole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import gamma, gammainc

from deepdft.arrays import FloatArray
from deepdft.kernels.gaussians.atomic_shells import (
    ShellTable,
    add_integrals,
    add_values,
    harmonic_norms,
    scratch,
)

_INTERVALS = 1000
_NEGLIGIBLE = 27.0
"""Exponent a r^2 at which a Gaussian is 2e-12 and its potential that of a multipole."""


_Radial = tuple[int, tuple[float, ...], tuple[float, ...]]
"""Angular momentum, exponents and factors of a radial function."""


class _Element(NamedTuple):
    densities: ShellTable
    potentials: ShellTable
    order: np.ndarray


class AuxiliaryFunctions:
    """The functions of PySCF's molecule of an auxiliary basis.

    Args:
        molecule: PySCF's, with spherical functions.
    """

    def __init__(self, molecule: Any) -> None:
        self._slices = [(int(a), int(b)) for *_, a, b in molecule.aoslice_by_atom()]
        self._centres = molecule.atom_coords()
        largest = max(molecule.bas_angular(i) for i in range(molecule.nbas))
        self._norms = harmonic_norms(largest)
        self._elements = [_tables(_radial_functions(molecule, i)) for i in range(molecule.natm)]
        shells = max(len(element.densities.tails) for element in self._elements)
        self._scratch = scratch(largest + 1, shells)

    def __len__(self) -> int:
        return self._slices[-1][1]

    def integrals(self, points: FloatArray, charges: FloatArray) -> FloatArray:
        """Return the Coulomb integrals (functions,) with point charges (n,) at points (n, 3)."""
        result = np.empty(len(self))
        for (first, last), element, norms, centre in self._atoms():
            own = np.zeros(last - first)
            add_integrals(points, charges, centre, *element.potentials, norms, self._scratch, own)
            result[first:last][element.order] = own
        return result

    def values(self, points: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return the sum of all functions times coefficients at points (n, 3), bohr^-3."""
        return self._sum(points, coefficients, lambda element: element.densities)

    def potentials(self, points: FloatArray, coefficients: FloatArray) -> FloatArray:
        """Return the Coulomb potential of that sum at points (n, 3), Ha."""
        return self._sum(points, coefficients, lambda element: element.potentials)

    def _sum(
        self, points: FloatArray, coefficients: FloatArray, table: Callable[[_Element], ShellTable]
    ) -> FloatArray:
        result = np.zeros(len(points))
        for (first, last), element, norms, centre in self._atoms():
            own = coefficients[first:last][element.order]
            add_values(points, own, centre, *table(element), norms, self._scratch, result)
        return result

    def _atoms(self) -> Iterator[tuple[tuple[int, int], _Element, FloatArray, FloatArray]]:
        for part, element, centre in zip(self._slices, self._elements, self._centres, strict=True):
            largest = len(element.densities.starts) - 1
            yield part, element, np.ascontiguousarray(self._norms[:largest, :largest]), centre


def _radial_functions(molecule: Any, atom: int) -> tuple[_Radial, ...]:
    """Return the radial functions of an atom's shells, in PySCF's order."""
    found: list[_Radial] = []
    for shell in molecule.atom_shell_ids(atom):
        exponents = tuple(molecule.bas_exp(shell).tolist())
        for column in molecule._libcint_ctr_coeff(shell).T.tolist():
            found.append((int(molecule.bas_angular(shell)), exponents, tuple(column)))
    return tuple(found)


@lru_cache(maxsize=128)
def _tables(functions: tuple[_Radial, ...]) -> _Element:
    """Return the tables of radial functions, and the place of each function among the atom's."""
    radial = [(momentum, np.array(e), np.array(c)) for momentum, e, c in functions]
    sizes = [2 * momentum + 1 for momentum, *_ in radial]
    ends = np.cumsum(sizes)
    places = [np.arange(end - size, end) for size, end in zip(sizes, ends, strict=True)]
    chosen = sorted(range(len(radial)), key=lambda i: radial[i][0])
    ordered = [radial[i] for i in chosen]
    momenta = [momentum for momentum, *_ in ordered]
    starts = np.searchsorted(momenta, np.arange(momenta[-1] + 2))
    reach = math.sqrt(_NEGLIGIBLE / min(exponents.min() for _, exponents, _ in ordered))
    spacing = math.sqrt(reach) / _INTERVALS
    distances = (spacing * np.arange(_INTERVALS + 1)) ** 2

    def table(kind: Any, tails: FloatArray) -> ShellTable:
        knots = [kind(distances, *functions) for functions in ordered]
        values = np.stack([value for value, _ in knots], axis=1)
        # By the root of the distance, times the spacing.
        slopes = np.stack([slope for _, slope in knots], axis=1)
        slopes *= (2.0 * np.sqrt(distances) * spacing)[:, None]
        low, high, left, right = values[:-1], values[1:], slopes[:-1], slopes[1:]
        rise = high - low
        rows = (low, left, 3.0 * rise - 2.0 * left - right, left + right - 2.0 * rise)
        return ShellTable(spacing, np.stack(rows, axis=1), tails, starts)

    order = np.concatenate([places[i] for i in chosen])
    nothing = np.zeros(len(ordered))
    tails = np.array([_multipole(*functions) for functions in ordered])
    return _Element(table(_density, nothing), table(_potential, tails), order)


def _density(
    distances: FloatArray, momentum: int, exponents: FloatArray, factors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the radial function and its slope."""
    parts = factors * np.exp(-exponents * distances[:, None] ** 2)
    return parts.sum(axis=1), -2.0 * distances * (parts @ exponents)


def _potential(
    distances: FloatArray, momentum: int, exponents: FloatArray, factors: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the radial function of the potential and its slope."""
    x = exponents * distances[:, None] ** 2
    parts = 2.0 * math.pi / exponents * factors
    slope = -2.0 * distances * ((parts * exponents * _boys(momentum + 1, x)).sum(axis=1))
    return (parts * _boys(momentum, x)).sum(axis=1), slope


def _multipole(momentum: int, exponents: FloatArray, factors: FloatArray) -> float:
    """Return the limit of the potential's radial function times ``r^(2l + 1)``."""
    half = momentum + 0.5
    return float((2.0 * math.pi / exponents * factors * exponents**-half).sum() * gamma(half) / 2)


def _boys(order: int, x: FloatArray) -> FloatArray:
    """Return the Boys function F_n(x)."""
    half = order + 0.5
    small = x < 1e-3
    safe = np.where(small, 1.0, x)
    large = gamma(half) * gammainc(half, safe) / (2.0 * safe**half)
    series = (
        1 / (2 * order + 1)
        - x / (2 * order + 3)
        + x**2 / (4 * order + 10)
        - x**3 / (12 * order + 42)
    )
    result: FloatArray = np.where(small, series, large)
    return result
