"""Values with their first and second derivatives, by the chain rule, as arrays of any type.

One algebra for functions of a distance (one variable) and of a position (three); with no variable a
jet is a value alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

PAIRS: dict[int, tuple[tuple[int, int], ...]] = {
    0: (),
    1: ((0, 0),),
    3: ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)),
}
"""Variables of the second derivatives in the order that they are kept in."""


class Jet(NamedTuple):
    """A value and its derivatives.

    Attributes:
        value: (...).
        first: (variables, ...).
        second: (pairs, ...) as in `PAIRS`; empty where only first derivatives are kept.
    """

    value: Array
    first: Array
    second: Array

    @classmethod
    def constant(cls, value: Array) -> Jet:
        """Return a value of no variable."""
        none = np.empty((0, *value.shape), value.dtype)
        return cls(value, none, none)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Variables of the second derivatives that are kept."""
        return PAIRS[len(self.first)][: len(self.second)]

    def __getitem__(self, index: Any) -> Jet:  # type: ignore[override]
        """Return the jets of some of the numbers."""
        index = index if isinstance(index, tuple) else (index,)
        every = (slice(None), *index)
        return Jet(self.value[index], self.first[every], self.second[every])


def linear(x: Jet, weight: Array, bias: Array | float = 0.0) -> Jet:
    """Return ``x @ weight + bias``."""
    return Jet(x.value @ weight + bias, x.first @ weight, x.second @ weight)


def function(x: Jet, value: Array, slope: Array, curvature: Array) -> Jet:
    """Return a function of x, given its value, slope and curvature there."""
    second = [
        slope * bent + curvature * x.first[i] * x.first[j]
        for bent, (i, j) in zip(x.second, x.pairs, strict=True)
    ]
    return Jet(value, slope * x.first, _stacked(second, x.second))


def product(x: Jet, y: Jet) -> Jet:
    """Return ``x y``; the shapes may be broadcast."""
    value = x.value * y.value
    second = [
        x.value * y.second[n] + x.second[n] * y.value
        + x.first[i] * y.first[j] + x.first[j] * y.first[i]
        for n, (i, j) in enumerate(x.pairs)
    ]  # fmt: skip
    empty = np.empty((0, *value.shape), value.dtype)
    return Jet(value, x.value * y.first + x.first * y.value, _stacked(second, empty))


def difference(x: Jet, y: Jet) -> Jet:
    """Return ``x - y``."""
    return Jet(x.value - y.value, x.first - y.first, x.second - y.second)


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


def summed(x: Jet, offsets: NDArray[np.int64], axis: int) -> Jet:
    """Sum runs along an axis of the value, which begin at offsets and are not empty."""
    add = np.add.reduceat
    return Jet(
        add(x.value, offsets, axis=axis),
        add(x.first, offsets, axis=axis + 1) if len(x.first) else x.first[..., :0, :],
        add(x.second, offsets, axis=axis + 1) if len(x.second) else x.second[..., :0, :],
    )


def _stacked(rows: list[Array], none: Array) -> Array:
    return np.stack(rows) if rows else none
