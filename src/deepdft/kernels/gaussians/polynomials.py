"""Angular parts of Gaussian functions and their derivatives as combinations of monomials."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import Array
from deepdft.kernels.angular.solid_harmonics import monomial_coefficients, monomials

Powers = tuple[int, int, int]

COMPONENTS = (1, 4, 10)
"""Numbers of values, values with the gradient, and those with the Hessian (xx xy xz yy yz zz)."""

_DERIVATIVES = ((), (0,), (1,), (2,), (0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
"""Axes by which each component is differentiated."""

_SMALLEST = 1e-12
"""Coefficients below it are rounding errors of zeros."""


class Polynomials(NamedTuple):
    """Functions of several kinds of shells, one after the other.

    Monomials are numbered by degree, and within a degree as `monomials` orders them.

    Attributes:
        parents: (monomials,) each is an earlier one times...
        axes: (monomials,) ... a coordinate; the first is 1 and has neither.
        degrees: (largest degree + 1,) monomials up to each degree.
        first: (kinds + 1,) first function of each kind.
        terms: (10 * functions + 1,) first term of each component of each function.
        places: (terms,) monomial.
        weights: (terms,) its coefficient.
    """

    parents: Array
    axes: Array
    degrees: Array
    first: Array
    terms: Array
    places: Array
    weights: Array


def polynomials(kinds: Sequence[tuple[int, bool]], dtype: Any) -> Polynomials:
    """Return the functions of kinds of shells, (angular momentum, Cartesian or not)."""
    largest = max((momentum for momentum, _ in kinds), default=0)
    places: dict[Powers, int] = {}
    for degree in range(largest + 1):
        for powers in monomials(degree):
            places[powers] = len(places)
    parents, axes = [0], [0]
    for powers in list(places)[1:]:
        axis = next(i for i in range(3) if powers[i])
        parents.append(places[_lowered(powers, axis)])
        axes.append(axis)
    first, terms = [0], [0]
    numbers: list[int] = []
    weights: list[float] = []
    for momentum, cartesian in kinds:
        for function in _functions(momentum, cartesian):
            for component in function:
                numbers.extend(places[powers] for powers in component)
                weights.extend(component.values())
                terms.append(len(numbers))
        first.append((len(terms) - 1) // len(_DERIVATIVES))
    degrees = np.cumsum([len(monomials(degree)) for degree in range(largest + 1)])
    return Polynomials(
        np.array(parents), np.array(axes), degrees, np.array(first), np.array(terms),
        np.array(numbers, dtype=np.int64), np.array(weights, dtype=dtype),
    )  # fmt: skip


def _lowered(powers: Powers, axis: int) -> Powers:
    lowered = [power - (i == axis) for i, power in enumerate(powers)]
    return lowered[0], lowered[1], lowered[2]


@cache
def _functions(momentum: int, cartesian: bool) -> list[list[dict[Powers, float]]]:
    """Return the components of each function as coefficients of monomials."""
    table = monomial_coefficients(momentum, cartesian)
    plain = [
        {powers: float(c) for powers, c in zip(monomials(momentum), row, strict=True)
         if abs(c) > _SMALLEST}
        for row in table
    ]  # fmt: skip
    return [[_differentiated(function, axes) for axes in _DERIVATIVES] for function in plain]


def _differentiated(function: dict[Powers, float], axes: tuple[int, ...]) -> dict[Powers, float]:
    for axis in axes:
        found: dict[Powers, float] = {}
        for powers, coefficient in function.items():
            if powers[axis]:
                found[_lowered(powers, axis)] = coefficient * powers[axis]
        function = found
    return function
