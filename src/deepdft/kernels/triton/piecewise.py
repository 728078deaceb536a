"""Filters as overlapping pieces of polynomials, for probes that lie close together.

The distances of an atom to a few neighbouring grid points differ by no more than the diagonal of
their box. A piece of the table is a polynomial on an interval wide enough for all of them, so that
its coefficients are loaded once and used for every point: on a GPU the summed messages then cost
multiply-adds and not loads. Pieces start every `step`; piece k covers
``[k * step, k * step + width]`` and the piece of a group of points is the last that starts below
their smallest distance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.polynomial import chebyshev
from numpy.typing import NDArray
from torch import Tensor

TOLERANCE = 4e-6
"""Error of a polynomial, as a share of the largest value of all filters. The density changes by a
twentieth of that, in e/Å^3, with the bundled model and with random weights."""

COUNTS = (5, 6, 8, 10, 12, 14, 16, 18)
"""Numbers of coefficients that are tried, fewest first; each is a kernel to compile."""

_SINGLE_STEP = 0.03
"""Length of a piece for points on their own, Å."""

_NODES = 32
"""Chebyshev nodes a piece: what their series leaves out is far below any tolerance."""

_LARGEST_GROWTH = 16.0
"""By how much coefficients may exceed the values, and with them the rounding of float32."""


@dataclass(frozen=True)
class PiecewiseTable:
    """Filters as polynomials.

    Attributes:
        coefficients: (pieces, n, steps, channels) of x^0 ... x^(n-1), where x runs from -1 to 1
            over a piece.
        step: distance between the starts of two pieces, Å.
        width: length of a piece, Å.
    """

    coefficients: Tensor
    step: float
    width: float

    def pieces_of(self, smallest: Tensor) -> Tensor:
        """Return the piece for points whose smallest distance (Å) is given, as int64."""
        last = self.coefficients.shape[0] - 1
        return (smallest / self.step).long().clamp(max=last)

    def evaluate(self, pieces: Tensor, distances: Tensor) -> Tensor:
        """Return the filters (steps, n, channels) at distances (n,) Å, each from its piece (n,)."""
        starts = pieces.to(distances.dtype) * self.step
        x = ((distances - starts) * (2.0 / self.width) - 1.0)[:, None, None]
        chosen = self.coefficients[pieces]
        value = chosen[:, -1]
        for power in range(chosen.shape[1] - 2, -1, -1):
            value = value * x + chosen[:, power]
        return value.transpose(0, 1)


def piecewise_table(
    filters: Callable[[Tensor], Tensor],
    cutoff: float,
    extent: float,
    *,
    tolerance: float = TOLERANCE,
    device: torch.device | None = None,
) -> PiecewiseTable | None:
    """Fit filters by polynomials, with as few coefficients as the tolerance allows.

    Args:
        filters: maps float64 distances (n,) in Å to filters (steps, n, channels).
        cutoff: end of the table, Å.
        extent: by how much the distances of a group's points to an atom differ at most, Å; 0 for
            points on their own.
        tolerance: largest error as a share of the largest value.
        device: of the distances.

    Returns:
        The table, float64; None if the group is too wide for polynomials of few coefficients, or
        the filters are not finite.
    """
    steps = [extent / 4] if extent > 0 else [_SINGLE_STEP / 2**n for n in range(6)]
    for step in steps:
        width = min(extent + step, cutoff)
        pieces = math.ceil((cutoff - width) / step) + 1
        # The last piece ends at the cutoff.
        step = (cutoff - width) / (pieces - 1) if pieces > 1 else cutoff
        series = _chebyshev_series(filters, pieces, step, width, device)
        coefficients = _coefficients(series, tolerance)
        if coefficients is not None:
            return PiecewiseTable(coefficients, step, width)
    return None


def _coefficients(series: Tensor, tolerance: float) -> Tensor | None:
    """Return as few coefficients of powers (pieces, n, steps, channels) as are enough."""
    largest = series.abs().sum(dim=1).max()
    for count in COUNTS:
        if series[:, count:].abs().sum(dim=1).max() <= tolerance * largest:
            powers = torch.from_numpy(_powers_of_chebyshev(count)).to(series)
            found = torch.einsum("ij,kjtc->kitc", powers, series[:, :count])
            grown = found.abs().sum(dim=1).max() > _LARGEST_GROWTH * largest
            return None if grown else found.contiguous()
    return None


def _chebyshev_series(
    filters: Callable[[Tensor], Tensor], pieces: int, step: float, width: float,
    device: torch.device | None,
) -> Tensor:  # fmt: skip
    """Return Chebyshev coefficients (pieces, nodes, steps, channels) of every piece."""
    angles = np.pi * (np.arange(_NODES) + 0.5) / _NODES
    transform = np.cos(np.outer(np.arange(_NODES), angles)) * (2.0 / _NODES)
    transform[0] *= 0.5
    starts = torch.arange(pieces, dtype=torch.float64, device=device) * step
    nodes = torch.from_numpy(0.5 * width * (1.0 + np.cos(angles))).to(starts)
    values = filters((starts[:, None] + nodes).reshape(-1))
    steps, _, channels = values.shape
    values = values.reshape(steps, pieces, _NODES, channels)
    return torch.einsum("ij,tkjc->kitc", torch.from_numpy(transform).to(values), values)


def _powers_of_chebyshev(count: int) -> NDArray[np.float64]:
    """Return the matrix (count, count) from Chebyshev coefficients to those of powers."""
    matrix = np.zeros((count, count))
    for n in range(count):
        powers = chebyshev.cheb2poly(np.eye(count)[n])
        matrix[: len(powers), n] = powers
    return matrix
