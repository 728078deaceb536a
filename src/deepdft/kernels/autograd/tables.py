"""Filters tabulated over distance and interpolated by quintic Hermite polynomials.

A filter of the model is a smooth function of one number, the distance. It is evaluated, with its
first and second derivative, on uniformly spaced knots; between two knots the quintic polynomial
that matches value, slope and curvature at both ends is used, so that the interpolant is twice
continuously differentiable. For a function f the interpolation error is at most
``spacing**6 / 46080 * max|f''''''|``.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from deepdft.kernels.radial.hermite import DEFAULT_SPACING, HERMITE, knot_count

_FORWARD_MODE = threading.Lock()
"""torch keeps the level of forward-mode differentiation in a variable of the whole process, so only
one thread at a time may be inside."""


@dataclass(frozen=True)
class RadialTable:
    """Filters on knots.

    Attributes:
        entries: (steps, knots, 3, channels) value, slope times `spacing` and curvature times
            `spacing`^2 of each filter at distance ``knot * spacing``.
        spacing: distance between knots, Å.
    """

    entries: Tensor
    spacing: float

    @property
    def cutoff(self) -> float:
        """Distance of the last knot, Å."""
        return (self.entries.shape[1] - 1) * self.spacing


@runtime_checkable
class WithDerivatives(Protocol):
    """Filters that know their derivatives, which is faster than differentiating them."""

    def derivatives(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filters at distances (n,) in Å, their slopes and their curvatures.

        Each is (steps, n, channels), by Å.
        """
        ...


def tabulate(
    filters: Callable[[Tensor], Tensor] | WithDerivatives,
    cutoff: float,
    spacing: float = DEFAULT_SPACING,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | None = None,
) -> RadialTable:
    """Tabulate `filters` on [0, cutoff]; differentiable with respect to its parameters.

    Args:
        filters: maps distances (n,) in Å to filters (steps, n, channels), or knows them with
            their derivatives.
        cutoff: end of the table, Å.
        spacing: largest distance between knots, Å.
        dtype: floating type of the knots.
        device: where to build the table.

    Returns:
        The table. The derivatives are the filters' own (`WithDerivatives`), or come from
        forward-mode differentiation.
    """
    knots, step = knot_count(cutoff, spacing)
    distances = torch.arange(knots, dtype=torch.float64, device=device).mul(step)
    distances = distances.to(dtype or torch.get_default_dtype())
    if isinstance(filters, WithDerivatives):
        value, slope, curvature = filters.derivatives(distances)
        return RadialTable(torch.stack((value, slope * step, curvature * step**2), dim=2), step)
    direction = torch.full_like(distances, step)

    def value_and_slope(x: Tensor) -> tuple[Tensor, Tensor]:
        value, slope = torch.func.jvp(filters, (x,), (direction,))  # type: ignore[misc]
        return value, slope

    with _FORWARD_MODE:
        (value, slope), (_, curvature) = torch.func.jvp(  # type: ignore[misc]
            value_and_slope, (distances,), (direction,)
        )
    return RadialTable(torch.stack((value, slope, curvature), dim=2), step)


def interpolation_weights(
    distances: Tensor, spacing: float, knots: int, derivative: int = 0
) -> tuple[Tensor, Tensor]:
    """Return the left knot and the six Hermite weights of each distance.

    Args:
        distances: (edges,) Å, below the cutoff.
        spacing: distance between knots, Å.
        knots: number of knots.
        derivative: order of the derivative with respect to distance, 0 to 3.

    Returns:
        Left knots, (edges,) int64, and weights, (edges, 6), differentiable in `distances`.
    """
    scaled = distances / spacing
    left = scaled.detach().floor().long().clamp(0, knots - 2)
    u = scaled - left
    powers = [torch.ones_like(u)]
    for _ in range(5):
        powers.append(powers[-1] * u)
    columns = []
    for row in HERMITE:
        column = torch.zeros_like(u)
        for power in range(derivative, 6):
            factor = row[power]
            for lower in range(derivative):
                factor *= power - lower
            if factor != 0.0:
                column = column + factor * powers[power - derivative]
        columns.append(column / spacing**derivative)
    return left, torch.stack(columns, dim=1)


def interpolate(table: RadialTable, distances: Tensor, derivative: int = 0) -> Tensor:
    """Return the tabulated filters, or a derivative, at `distances`: (steps, edges, channels)."""
    knots = table.entries.shape[1]
    left, weights = interpolation_weights(distances, table.spacing, knots, derivative)
    pair = torch.cat((table.entries[:, left], table.entries[:, left + 1]), dim=2)
    return torch.einsum("er,serc->sec", weights.to(pair.dtype), pair)
