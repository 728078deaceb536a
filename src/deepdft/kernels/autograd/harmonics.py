"""Softened spherical harmonics of edges in torch; see `deepdft.kernels.angular.harmonics`."""

from __future__ import annotations

import torch
from torch import Tensor

from deepdft.kernels.angular.harmonics import (
    fill_soft_harmonics,
    harmonic_count,
    harmonic_steps,
    harmonics,
)


def soft_harmonics(vectors: Tensor, largest: int, softness: float) -> Tensor:
    """Return the functions of l = 0..largest.

    Args:
        vectors: (edges, 3) Å.
        largest: largest angular momentum.
        softness: a, Å; zero for plain directions.

    Returns:
        (edges, (largest + 1)^2), differentiable in the vectors.
    """
    if vectors.device.type == "cpu" and not vectors.requires_grad:
        return _compiled_soft_harmonics(vectors, largest, softness)
    square = vectors.square().sum(dim=1, keepdim=True)
    x, y, z = (vectors * torch.rsqrt(square + softness**2)).unbind(dim=1)
    return torch.stack(harmonics(x, y, z, largest), dim=1)


def _compiled_soft_harmonics(vectors: Tensor, largest: int, softness: float) -> Tensor:
    x, y, z = vectors.detach().double().T.numpy().copy()
    out = torch.empty((harmonic_count(largest), len(vectors)), dtype=vectors.dtype)
    fill_soft_harmonics(
        x, y, z, len(x), softness, *harmonic_steps(largest), out.numpy().reshape(-1), len(x)
    )
    return out.T.contiguous()
