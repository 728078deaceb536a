"""The radial basis and cutoff of PaiNN, as functions of distance with two derivatives.

sin(n pi d / cutoff) / d for n = 1, 2, ... (Gasteiger, Groß & Günnemann, arXiv:2003.03123, eq. 7)
and (1 + cos(pi d / cutoff)) / 2 (Behler & Parrinello, 2007).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deepdft.architectures.radial_jets import Jet

_SERIES_BELOW = 0.1
"""Argument below which sin(x) / x comes from its series: its derivatives cancel there."""


class SincBasis(nn.Module):
    """The functions sin(n pi d / cutoff) / d, n = 1 ... count; n pi / cutoff at d = 0."""

    def __init__(self, cutoff: float, count: int) -> None:
        super().__init__()
        # Not a buffer: moved from float32 to float64 it would keep the rounding of float32.
        self.wave_numbers = torch.arange(1, count + 1, dtype=torch.float64) * (math.pi / cutoff)

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to (n, count)."""
        k = self.wave_numbers.to(distances.device, distances.dtype)
        return k * _sine_by_argument(k * distances[:, None])

    def jets(self, distances: Tensor) -> Jet:
        """Return the functions with their derivatives, (n, count)."""
        # In double precision: a few hundred distances, and differences of large numbers.
        k = self.wave_numbers.to(distances.device)
        x = k * distances.double()[:, None]
        value = _sine_by_argument(x)
        small = x < _SERIES_BELOW
        away = torch.where(small, torch.ones_like(x), x)
        # The first derivative over x, which has a limit at 0.
        slope_by_x = torch.where(
            small,
            -1 / 3 + x**2 / 30 * (1 - x**2 / 28 * (1 - x**2 / 54)),
            (torch.cos(away) - value) / away**2,
        )
        parts = (k * value, k**2 * x * slope_by_x, -(k**3) * (value + 2 * slope_by_x))
        return Jet(*(part.to(distances.dtype) for part in parts))


def _sine_by_argument(x: Tensor) -> Tensor:
    """sin(x) / x; derivatives of any order are finite at 0, which those of torch.sinc are not."""
    small = x < _SERIES_BELOW
    away = torch.where(small, torch.ones_like(x), x)
    square = torch.where(small, x, torch.zeros_like(x)) ** 2
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    return torch.where(small, series, torch.sin(away) / away)


def cosine_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Map distances (n,) in Å to (1 + cos(pi d / cutoff)) / 2, zero beyond the cutoff."""
    value = 0.5 * (1.0 + torch.cos(math.pi / cutoff * distances))
    return torch.where(distances < cutoff, value, torch.zeros_like(value))


def cosine_cutoff_jet(distances: Tensor, cutoff: float) -> Jet:
    """Jets (n,) of `cosine_cutoff` on [0, cutoff]."""
    k = math.pi / cutoff
    angle = k * distances
    cosine = torch.cos(angle)
    return Jet(0.5 * (1.0 + cosine), -0.5 * k * torch.sin(angle), -0.5 * k**2 * cosine)
