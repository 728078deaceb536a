"""Functions of distance with their first and second derivative, by the chain rule.

Filters are tabulated with both derivatives. Written out they cost about three evaluations; torch's
forward mode gives the same numbers, but nested, it is slower, and its first use imports a compiler
(two seconds).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from deepdft.architectures.layers import GaussianBasis, StackedLinear, published_cutoff, softplus


class Jet(NamedTuple):
    """Values, slopes and curvatures of functions of distance, of one shape."""

    value: Tensor
    slope: Tensor
    curvature: Tensor


def gaussians(basis: GaussianBasis, distances: Tensor) -> Jet:
    """Jets of the Gaussians of eq. (2), (n, centres)."""
    z = (distances[:, None] - basis.centres.to(distances.device, distances.dtype)) / basis.width
    value = torch.exp(-0.5 * z**2)
    return Jet(value, -z / basis.width * value, (z**2 - 1.0) / basis.width**2 * value)


def affine(layer: StackedLinear, x: Jet) -> Jet:
    """Jets after an affine map."""
    return Jet(
        layer(x.value), torch.matmul(x.slope, layer.weight), torch.matmul(x.curvature, layer.weight)
    )


def softplus_of(x: Jet) -> Jet:
    """Jets after ln(1 + exp(x)), whose derivative is the logistic function."""
    logistic = torch.sigmoid(x.value)
    curvature = logistic * (x.curvature + (1.0 - logistic) * x.slope**2)
    return Jet(softplus(x.value), logistic * x.slope, curvature)


def shifted_softplus_of(x: Jet) -> Jet:
    """Jets after ln(1 + exp(x)) - ln(2)."""
    jet = softplus_of(x)
    return jet._replace(value=jet.value - math.log(2.0))


def product(x: Jet, y: Jet) -> Jet:
    """Jets of a product."""
    return Jet(
        x.value * y.value,
        x.slope * y.value + x.value * y.slope,
        x.curvature * y.value + 2.0 * x.slope * y.slope + x.value * y.curvature,
    )


def soft_cutoff(distances: Tensor, cutoff: float) -> Jet:
    """Jets (n,) of `layers.published_cutoff`."""
    value = published_cutoff(distances, cutoff)
    slope = -5.0 * value * (1.0 - value)
    return Jet(value, slope, -5.0 * slope * (1.0 - 2.0 * value))


def polynomial(distances: Tensor, cutoff: float) -> Jet:
    """Jets (n,) of `layers.polynomial_cutoff`."""
    u = (distances / cutoff).clamp(max=1.0)
    left = 1.0 - u
    return Jet(
        1.0 - u**3 * (10.0 - u * (15.0 - 6.0 * u)),
        -30.0 * (u * left) ** 2 / cutoff,
        -60.0 * u * left * (1.0 - 2.0 * u) / cutoff**2,
    )
