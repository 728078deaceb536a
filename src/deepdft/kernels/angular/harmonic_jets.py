"""Softened spherical harmonics of edges with their first and second derivatives by position.

The functions of `deepdft.kernels.angular.harmonics` are polynomials of ``v = r / sqrt(d^2 + a^2)``.
The jets of v are written out, those of products follow by the product rule, and a harmonic is a
combination of products.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from deepdft.kernels.angular.solid_harmonics import monomial_coefficients, monomials
from deepdft.kernels.edges.jet_edges import FACTORS
from deepdft.kernels.jets import PAIRS

Array = NDArray[Any]

_LENGTH = 32
"""Edges treated together: loops over them become vector instructions."""

_DIRECTIONS = PAIRS[3]


class HarmonicPolynomials(NamedTuple):
    """The harmonics of l = 0..largest as combinations of products of the components of v.

    Attributes:
        parents: (products,) each product is an earlier one, or none (-1), times...
        axes: (products,) ... a component of v.
        starts: (functions + 1,) first term of each function.
        terms: (terms,) product of each term; -1 for the constant 1.
        weights: (terms,) its weight.
    """

    parents: Array
    axes: Array
    starts: Array
    terms: Array
    weights: Array


@cache
def harmonic_polynomials(largest: int) -> HarmonicPolynomials:
    """Return the harmonics up to an angular momentum."""
    places: dict[tuple[int, int, int], int] = {(0, 0, 0): -1}
    parents: list[int] = []
    axes, starts, terms, weights = [], [0], [], []
    for momentum in range(largest + 1):
        powers = monomials(momentum)
        for power in powers:
            if momentum == 0:
                continue
            axis = next(i for i in range(3) if power[i])
            parent = tuple(n - (i == axis) for i, n in enumerate(power))
            places[power] = len(parents)
            parents.append(places[(parent[0], parent[1], parent[2])])
            axes.append(axis)
        norm = math.sqrt(4 * math.pi / (2 * momentum + 1))
        for row in norm * monomial_coefficients(momentum, False):
            for power, weight in zip(powers, row, strict=True):
                if abs(weight) > 1e-12:
                    terms.append(places[power])
                    weights.append(weight)
            starts.append(len(terms))
    return HarmonicPolynomials(
        np.array(parents, np.int64), np.array(axes, np.int64), np.array(starts, np.int64),
        np.array(terms, np.int64), np.array(weights),
    )  # fmt: skip


@numba.njit(nogil=True, cache=True, error_model="numpy")
def fill_harmonic_jets(
    factors: Any, count: int, softness: float, components: int, parents: Any, axes: Any,
    starts: Any, terms: Any, weights: Any, out: Any,
) -> None:  # fmt: skip
    """Compute the jets of the harmonics of edges.

    Args:
        factors: of the edges, see `deepdft.kernels.edges.jet_edges.JetEdges`.
        count: number of edges.
        softness: a, Å.
        components: of a jet, 4 or 10.
        parents, axes, starts, terms, weights: see `HarmonicPolynomials`.
        out: (edges * functions * components,) float32, by edge, function and component.
    """
    functions = len(starts) - 1
    vectors = np.empty((3, 10, _LENGTH))
    products = np.empty((len(parents), 10, _LENGTH))
    total = np.empty(_LENGTH)
    for first in range(0, count, _LENGTH):
        length = min(_LENGTH, count - first)
        _vector_jets(factors, first, length, softness, vectors)
        for product in range(len(parents)):
            if parents[product] < 0:
                products[product] = vectors[axes[product]]
            else:
                _multiply(products[parents[product]], vectors[axes[product]], products[product])
        for function in range(functions):
            for component in range(components):
                total[:] = 0.0
                for term in range(starts[function], starts[function + 1]):
                    if terms[term] < 0:
                        total += weights[term] if component == 0 else 0.0
                    else:
                        total += weights[term] * products[terms[term], component]
                for e in range(length):
                    place = ((first + e) * functions + function) * components + component
                    out[place] = total[e]


@numba.njit(nogil=True, error_model="numpy")
def _vector_jets(factors: Any, first: int, length: int, softness: float, out: Any) -> None:
    """Jets of ``v = s r`` with ``s = (d^2 + a^2)^(-1/2)``."""
    r = np.zeros((3, _LENGTH))
    for e in range(length):
        for i in range(3):
            r[i, e] = factors[(first + e) * FACTORS + 18 + i]
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + softness * softness
    for e in range(length, _LENGTH):
        square[e] = 1.0
    s = 1.0 / np.sqrt(square)
    cube = s / square
    fifth = 3.0 * cube / square
    for i in range(3):
        out[i, 0] = s * r[i]
        for j in range(3):
            out[i, 1 + j] = -cube * r[i] * r[j]
        out[i, 1 + i] += s
        for place, (j, k) in enumerate(_DIRECTIONS):
            out[i, 4 + place] = fifth * r[i] * r[j] * r[k]
            if i == j:
                out[i, 4 + place] -= cube * r[k]
            if i == k:
                out[i, 4 + place] -= cube * r[j]
            if j == k:
                out[i, 4 + place] -= cube * r[i]


@numba.njit(nogil=True, error_model="numpy")
def _multiply(x: Any, y: Any, out: Any) -> None:
    """Jets of a product."""
    out[0] = x[0] * y[0]
    for i in range(3):
        out[1 + i] = x[0] * y[1 + i] + x[1 + i] * y[0]
    for place, (i, k) in enumerate(_DIRECTIONS):
        out[4 + place] = (
            x[0] * y[4 + place] + x[4 + place] * y[0]
            + x[1 + i] * y[1 + k] + x[1 + k] * y[1 + i]
        )  # fmt: skip
