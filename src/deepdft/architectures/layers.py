"""Small building blocks shared by the architectures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from deepdft.architectures.element_similarity import element_descriptors


class StackedLinear(nn.Module):
    """Independent affine maps for several interaction steps, applied in one batched product.

    Maps (steps, n, inputs) to (steps, n, outputs). An input without the leading axis, (n, inputs),
    goes through the maps of every step. Initialised as `torch.nn.Linear`.
    """

    def __init__(self, steps: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1.0 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(steps, inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(steps, 1, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply the map of every step to its slice of `x`."""
        if x.dim() == 2:
            return torch.matmul(x, self.weight) + self.bias
        return torch.baddbmm(self.bias, x, self.weight)

    def step(self, t: int, x: Tensor) -> Tensor:
        """Apply the map of step `t` alone to `x` (n, inputs)."""
        return torch.addmm(self.bias[t], x, self.weight[t])


class GaussianBasis(nn.Module):
    """Gaussians on a uniform grid of distances, eq. (2): centres 0, width, ... below the cutoff."""

    def __init__(self, cutoff: float, width: float) -> None:
        super().__init__()
        self.width = width
        # Not a buffer: moved from float32 to float64 it would keep the rounding of float32.
        self.centres = torch.arange(math.ceil(cutoff / width - 1e-9), dtype=torch.float64) * width

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to (n, centres)."""
        centres = self.centres.to(distances.device, distances.dtype)
        return torch.exp(-0.5 * ((distances[:, None] - centres) / self.width) ** 2)


def similar_rows(elements: Sequence[int], width: int) -> Tensor:
    """Draw an embedding (elements, width) of unit variance, alike where elements are."""
    descriptors = torch.tensor(element_descriptors(elements), dtype=torch.get_default_dtype())
    return descriptors @ torch.randn(descriptors.shape[1], width)


def softplus(x: Tensor) -> Tensor:
    """The paper's g(x) = ln(1 + exp(x)).

    torch's own default returns x from 20 on, a step of 2e-9 that double precision sees.
    """
    return functional.softplus(x, threshold=40.0)


def shifted_softplus(x: Tensor) -> Tensor:
    """The released code's ln(1 + exp(x)) - ln(2), zero at zero."""
    return softplus(x) - math.log(2.0)


def published_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Soft cutoff c(d) = 1 - sigmoid(5 (d - (cutoff - 1.5))) of eq. (3); 5.5e-4 at the cutoff."""
    return torch.sigmoid(-5.0 * (distances - (cutoff - 1.5)))


def polynomial_cutoff(distances: Tensor, cutoff: float) -> Tensor:
    """Polynomial 1 - 10 u^3 + 15 u^4 - 6 u^5, u = d / cutoff.

    Value, slope and curvature vanish at the cutoff; beyond it the result is zero.
    """
    u = (distances / cutoff).clamp(max=1.0)
    return 1.0 - u**3 * (10.0 - u * (15.0 - 6.0 * u))
