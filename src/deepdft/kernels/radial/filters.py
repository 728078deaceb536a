"""Filters: functions of distance with their derivatives, direct or from a table, in NumPy.

A set of filters maps the jet of distances (edges,) to filters (steps, edges, channels); see
`deepdft.kernels.jets`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Array
from deepdft.kernels.jets import Jet, function, sigmoid
from deepdft.kernels.radial.hermite import HERMITE, knot_count

Filters = Callable[[Jet], Jet]


def gaussian_centres(cutoff: float, width: float) -> NDArray[np.float64]:
    """Return the centres 0, width, 2 width, ... below the cutoff."""
    return np.arange(math.ceil(cutoff / width - 1e-9), dtype=np.float64) * width


def gaussians(distances: Jet, cutoff: float, width: float) -> Jet:
    """Return Gaussians on a uniform grid of distances, (edges, centres)."""
    centres = gaussian_centres(cutoff, width).astype(distances.value.dtype)
    z = distances.map(lambda part: part[..., None]) + -centres
    z = z * (1.0 / width)
    value = np.exp(-0.5 * z.value**2)
    return function(z, value, -z.value * value, (z.value**2 - 1) * value)


def each_channel(x: Jet) -> Jet:
    """Return numbers (edges,) in a form that multiplies filters, (1, edges, 1)."""
    return x.map(lambda part: part[:, None, :, None])


def published_cutoff(distances: Jet, cutoff: float) -> Jet:
    """Soft cutoff c(d) = 1 - sigmoid(5 (d - (cutoff - 1.5))) of eq. (3); 5.5e-4 at the cutoff."""
    return sigmoid(distances * -5.0 + 5.0 * (cutoff - 1.5))


def polynomial_cutoff(distances: Jet, cutoff: float) -> Jet:
    """Polynomial 1 - 10 u^3 + 15 u^4 - 6 u^5, u = d / cutoff; zero beyond the cutoff."""
    u = np.minimum(distances.value / cutoff, 1.0)
    left = 1 - u
    return function(
        distances,
        1 - u**3 * (10 - u * (15 - 6 * u)),
        -30 * (u * left) ** 2 / cutoff,
        -60 * u * left * (1 - 2 * u) / cutoff**2,
    )


class RadialTable:
    """Filters on knots, between which they are interpolated.

    Attributes:
        entries: (steps, knots, 3, channels) value, slope times `spacing` and curvature times
            `spacing`^2 of each filter at distance ``knot * spacing``.
        spacing: distance between knots, Å.
    """

    def __init__(self, entries: Array, spacing: float) -> None:
        self.entries, self.spacing = entries, spacing

    @property
    def knots(self) -> int:
        """Number of knots."""
        return int(self.entries.shape[1])

    def __call__(self, distances: Jet) -> Jet:
        """Return the filters at distances (edges,), as jets (steps, edges, channels)."""
        left = np.clip((distances.value / self.spacing).astype(np.int64), 0, self.knots - 2)
        u = distances.value / self.spacing - left
        order = 2 if len(distances.second) else min(1, len(distances.first))
        found = [self._interpolated(left, u, n) for n in range(order + 1)]
        found += [found[0]] * (2 - order)  # not used where there are no such derivatives
        return function(each_channel(distances), *found)

    def _interpolated(self, left: Array, u: Array, derivative: int) -> Array:
        result = np.zeros((), self.entries.dtype)
        for row, coefficients in enumerate(HERMITE):
            polynomial = np.polynomial.Polynomial(coefficients).deriv(derivative)
            weight = (polynomial(u) / self.spacing**derivative).astype(self.entries.dtype)
            result = result + weight[:, None] * self.entries[:, left + row // 3, row % 3]
        return result


def tabulated(filters: Filters, cutoff: float, spacing: float) -> RadialTable:
    """Tabulate filters on [0, cutoff], in float64.

    Args:
        filters: of weights in float64.
        cutoff: end of the table, Å.
        spacing: largest distance between knots, Å.
    """
    knots, step = knot_count(cutoff, spacing)
    distances = np.arange(knots) * step
    found = filters(Jet(distances, np.full((1, knots), step), np.zeros((1, knots))))
    return RadialTable(np.stack((found.value, found.first[0], found.second[0]), axis=2), step)
