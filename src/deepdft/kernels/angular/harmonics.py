"""Softened spherical harmonics: directions of edges, smooth at the sender's place.

The direction from an atom to a point is undefined where they coincide. Here it is replaced by
``v = r / sqrt(d^2 + a^2)``, and ``r^l Y_lm`` by the same polynomial of v: a smooth function of the
position, zero at the atom for l > 0, that far from it is the spherical harmonic. Functions are
normalised so that the squares of one l sum to 1 for a unit vector. For each l they come in the
order m = -l..l, but x, y, z for l = 1.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Array
from deepdft.kernels.angular.solid_harmonics import (
    angular_functions,
    monomial_coefficients,
    monomials,
)
from deepdft.kernels.compilation import FUSED, compiled

_LENGTH = 32
"""Edges treated together: loops over them become vector instructions."""


def harmonic_count(largest: int) -> int:
    """Return the number of functions up to an angular momentum."""
    return (largest + 1) ** 2


def harmonics(x: Any, y: Any, z: Any, largest: int) -> Any:
    """Return the functions of l = 0..largest at vectors (x, y, z), each of x's shape.

    The components are arrays of NumPy, or tensors of torch where they come from there.

    Returns:
        ((largest + 1)^2, ...) an array, or a list of tensors.
    """
    functions = []
    for momentum in range(largest + 1):
        norm = math.sqrt(4 * math.pi / (2 * momentum + 1))
        functions += [norm * f for f in angular_functions(momentum, False, x, y, z)]
    return np.stack(functions) if isinstance(x, np.ndarray) else functions


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


def edge_harmonics(vectors: NDArray[np.float64], largest: int, dtype: Any) -> NDArray[Any]:
    """Return the functions of directions, without softness.

    Args:
        vectors: (edges, 3) Å.
        largest: largest angular momentum.
        dtype: floating type of the result.

    Returns:
        (edges, (largest + 1)^2).
    """
    x, y, z = vectors.T.copy()
    out = np.empty((harmonic_count(largest), len(vectors)), dtype)
    fill_soft_harmonics(
        x, y, z, len(x), 0.0, *harmonic_polynomials(largest), out.reshape(-1), len(x)
    )
    return np.ascontiguousarray(out.T)


@compiled(fast=FUSED)
def fill_soft_harmonics(
    x: Any, y: Any, z: Any, count: int, softness: float, parents: Any, axes: Any, starts: Any,
    terms: Any, weights: Any, out: Any, stride: int,
) -> None:  # fmt: skip
    """Compute the softened functions for the first `count` edges.

    Args:
        x, y, z: (edges,) float64 components of the vectors, Å.
        count: number of edges.
        softness: a, Å.
        parents, axes, starts, terms, weights: see `HarmonicPolynomials`.
        out: (functions * stride,); function i of edge e goes to i * stride + e.
        stride: distance between functions.
    """
    vectors = np.empty((3, _LENGTH))
    products = np.ones((1 + len(parents), _LENGTH))  # after the constant
    total = np.empty(_LENGTH)
    for first in range(0, count, _LENGTH):
        for e in range(_LENGTH):
            edge = min(first + e, count - 1)
            a, b, c = x[edge], y[edge], z[edge]
            factor = 1.0 / np.sqrt(a * a + b * b + c * c + softness * softness)
            vectors[0, e], vectors[1, e], vectors[2, e] = a * factor, b * factor, c * factor
        for product in range(len(parents)):
            parent, axis = 1 + parents[product], axes[product]
            for e in range(_LENGTH):
                products[1 + product, e] = products[parent, e] * vectors[axis, e]
        for function in range(len(starts) - 1):
            for e in range(_LENGTH):
                total[e] = 0.0
            for term in range(starts[function], starts[function + 1]):
                product, weight = 1 + terms[term], weights[term]
                for e in range(_LENGTH):
                    total[e] += weight * products[product, e]
            for e in range(min(_LENGTH, count - first)):
                out[function * stride + first + e] = total[e]
