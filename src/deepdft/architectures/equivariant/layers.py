"""Building blocks for spherical tensors: features that turn with the structure.

Tensors have the shape (n, M, channels), M = (L + 1)^2 components ordered by degree l and, within,
as the spherical harmonics of `deepdft.kernels.angular.harmonics`. All maps here commute with
rotations and reflections.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepdft.kernels.angular.gaunt_products import GauntTerms, gaunt_product
from deepdft.kernels.angular.harmonics import soft_harmonics


def degrees(largest: int) -> Tensor:
    """Return the degree l of each component, (M,) int64."""
    return torch.arange(largest + 1).repeat_interleave(2 * torch.arange(largest + 1) + 1)


@lru_cache
def gaunt_coefficients(largest: int) -> NDArray[np.float64]:
    """Return the coefficients that couple two tensors to a third, (M, M, M).

    ``G[i, j, k]`` is proportional to the integral of the product of three real spherical harmonics
    over the sphere, which vanishes unless the sum of their degrees is even: no pseudotensors
    arise. Every combination of three degrees is scaled so that the squares of its coefficients
    sum to 2 l_k + 1 over the product of the other two numbers of components: unit tensors give
    results of order one. The integral is exact (Gauss-Legendre in z, equidistant in the angle).
    """
    order = 2 * largest + 2
    heights, weights = np.polynomial.legendre.leggauss(order)
    angles = np.arange(2 * order) * np.pi / order
    z = np.repeat(heights, len(angles))
    angle = np.tile(angles, order)
    radius = np.sqrt(1 - z**2)
    points = np.stack((radius * np.cos(angle), radius * np.sin(angle), z), axis=1)
    values = soft_harmonics(torch.from_numpy(points), largest, 0.0).numpy()
    weight = np.repeat(weights, len(angles)) / (2 * len(angles))
    result: NDArray[np.float64] = np.einsum("q,qi,qj,qk->ijk", weight, values, values, values)
    result[np.abs(result) < 1e-12] = 0.0
    of_degree = [slice(d**2, (d + 1) ** 2) for d in range(largest + 1)]
    for i, first in enumerate(of_degree):
        for j, second in enumerate(of_degree):
            for k, third in enumerate(of_degree):
                block = result[first, second, third]
                size = float((block**2).sum())
                if size > 0.0:
                    block *= math.sqrt((2 * k + 1) / ((2 * i + 1) * (2 * j + 1) * size))
    return result


class DegreeLinear(nn.Module):
    """A linear map of the channels for each degree, without bias.

    Maps (n, M, inputs) to (n, M, outputs).
    """

    _degrees: Tensor

    def __init__(self, largest: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(largest + 1, inputs, outputs) / math.sqrt(inputs))
        self.register_buffer("_degrees", degrees(largest), persistent=False)

    def forward(self, tensors: Tensor) -> Tensor:
        """Apply the maps."""
        weight = self.weight.index_select(0, self._degrees)
        return torch.bmm(tensors.transpose(0, 1), weight).transpose(0, 1)


class GauntProduct(nn.Module):
    """The product of two tensors, channel by channel, as a tensor of the same degrees."""

    def __init__(self, largest: int) -> None:
        super().__init__()
        # Not a buffer: moved from float32 to float64 it would keep the rounding of float32.
        self._terms = GauntTerms(gaunt_coefficients(largest))

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        """Multiply two tensors (n, M, channels)."""
        return gaunt_product(left, right, self._terms)


class Invariants(nn.Module):
    """Numbers that do not turn: the scalars themselves, and squared lengths of higher degrees.

    Maps (n, M, channels) to (n, (L + 1) * channels).
    """

    def __init__(self, largest: int) -> None:
        super().__init__()
        self.largest = largest

    def forward(self, tensors: Tensor) -> Tensor:
        """Return the invariants."""
        columns = [tensors[:, 0]]
        for degree in range(1, self.largest + 1):
            columns.append(tensors[:, degree**2 : (degree + 1) ** 2].square().sum(dim=1))
        return torch.cat(columns, dim=1)


def soft_normalised(x: Tensor, dims: int | tuple[int, ...]) -> Tensor:
    """Return `x` divided by the root of one plus its mean square over `dims`.

    Small values stay as they are, large ones end at order one: products of products cannot grow
    without bound in crowded surroundings. Over whole tensors it commutes with rotations.
    """
    return x * torch.rsqrt(1.0 + x.square().mean(dim=dims, keepdim=True))
