"""Values with their first and second derivatives, by the chain rule, as arrays of any type.

One algebra for functions of a distance (one variable) and of a position (three); with no variable a
jet is a value alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from deepdft.arrays import Array

COMPONENTS = {1: 4, 2: 10}
"""Value, three first and six second derivatives (xx, yy, zz, xy, xz, yz) by position, by order."""

FACTORS = 28
"""float32 numbers that an edge's message and its derivatives are made of: six weights each of f, C
and B (`deepdft.kernels.edges.jet_edges`); x; u u^T; one to fill up."""

PAIRS: dict[int, tuple[tuple[int, int], ...]] = {
    0: (),
    1: ((0, 0),),
    3: ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)),
}
"""Variables of the second derivatives in the order that they are kept in, by their number."""


@dataclass(frozen=True, eq=False)
class Jet:
    """A value and its derivatives.

    Sums and products are those of the functions; a number is a constant.

    Attributes:
        value: (...).
        first: (variables, ...).
        second: (pairs, ...) as in `PAIRS`; empty where only first derivatives are kept.
    """

    value: Array
    first: Array
    second: Array

    __array_ufunc__ = None  # an array leaves products with a jet to the jet

    @classmethod
    def constant(cls, value: Array, like: Jet | None = None) -> Jet:
        """Return a value that does not change, with as many derivatives as another jet has."""
        first, second = (0, 0) if like is None else (len(like.first), len(like.second))
        return cls(
            value,
            np.zeros((first, *value.shape), value.dtype),
            np.zeros((second, *value.shape), value.dtype),
        )

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Variables of the second derivatives that are kept."""
        return PAIRS[len(self.first)][: len(self.second)]

    def map(self, change: Any) -> Jet:
        """Return a linear map, of arrays (n, ...) along their last axes, of all parts."""
        return Jet(change(self.value[None])[0], change(self.first), change(self.second))

    def __add__(self, other: Any) -> Jet:
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value, self.first + other.first, self.second + other.second
            )
        return Jet(self.value + other, self.first, self.second)

    def __sub__(self, other: Any) -> Jet:
        opposite = other * -1.0
        return self.__add__(opposite)

    def __mul__(self, other: Any) -> Jet:
        if not isinstance(other, Jet):
            return Jet(self.value * other, self.first * other, self.second * other)
        second = [
            self.value * other.second[n] + self.second[n] * other.value
            + self.first[i] * other.first[j] + self.first[j] * other.first[i]
            for n, (i, j) in enumerate(self.pairs)
        ]  # fmt: skip
        value = self.value * other.value
        first = self.value * other.first + self.first * other.value
        return Jet(value, first, np.stack(second) if second else first[:0])

    def __truediv__(self, number: float) -> Jet:
        return self * (1.0 / number)

    __radd__, __rmul__ = __add__, __mul__


def function(x: Jet, value: Array, slope: Array, curvature: Array) -> Jet:
    """Return a function of x, given its value, slope and curvature there."""
    second = [
        slope * bent + curvature * (x.first[i] * x.first[j])
        for bent, (i, j) in zip(x.second, x.pairs, strict=True)
    ]
    first = slope * x.first
    return Jet(value, first, np.stack(second) if second else first[:0])


def linear(x: Jet, weight: Array, bias: Array | float = 0.0) -> Jet:
    """Return ``x @ weight + bias``."""
    return Jet(x.value @ weight + bias, _times(x.first, weight), _times(x.second, weight))


def _times(parts: Array, weight: Array) -> Array:
    if len(parts):
        return np.stack([part @ weight for part in parts])
    return np.empty((0, *np.matmul(np.zeros(parts.shape[1:], parts.dtype), weight).shape))


def softplus(x: Jet) -> Jet:
    """Return ln(1 + exp(x)), whose derivative is the logistic function."""
    share = logistic(x.value)
    return function(x, np.logaddexp(0, x.value), share, share * (1 - share))


def sigmoid(x: Jet) -> Jet:
    """Return 1 / (1 + exp(-x))."""
    share = logistic(x.value)
    slope = share * (1 - share)
    return function(x, share, slope, slope * (1 - 2 * share))


def logistic(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), without overflow."""
    small = np.exp(-np.abs(x))
    result: Array = np.where(x < 0, small, 1) / (1 + small)
    return result


def inverse_root(x: Jet) -> Jet:
    """Return ``x^(-1/2)``."""
    value = 1 / np.sqrt(x.value)
    slope = -0.5 * value / x.value
    return function(x, value, slope, -1.5 * slope / x.value)
