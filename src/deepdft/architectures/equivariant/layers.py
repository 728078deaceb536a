"""Building blocks for spherical tensors: features that turn with the structure.

Tensors have the shape (n, M, channels), M = (L + 1)^2 components ordered by degree l and, within,
as the spherical harmonics of `deepdft.kernels.angular.harmonics`. All maps here commute with
rotations and reflections.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from deepdft.kernels.angular.gaunt_products import GauntTerms, gaunt_coefficients
from deepdft.kernels.autograd.gaunt_products import gaunt_product


def degrees(largest: int) -> Tensor:
    """Return the degree l of each component, (M,) int64."""
    return torch.arange(largest + 1).repeat_interleave(2 * torch.arange(largest + 1) + 1)


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
