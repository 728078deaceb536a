"""Products of spherical tensors with Gaunt coefficients.

``out[n, k, c] = sum over i and j of G[i, j, k] left[n, i, c] right[n, j, c]``

At degree 4 one coefficient in fourteen is not zero. On a CPU one compiled loop over those replaces
arrays of (atoms, M * M, channels), which took most of an encoder's time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from deepdft.kernels.edges.adjoint import differentiable_adjoint


class GauntTerms:
    """Gaunt coefficients as a matrix and as a list of those that are not zero.

    Args:
        coefficients: G, (M, M, M).
    """

    def __init__(self, coefficients: Any) -> None:
        first, second, third = np.nonzero(coefficients)
        # By result: it stays in registers or the nearest cache while its terms are added.
        order = np.lexsort((second, first, third))
        self.indices = np.stack((first, second, third), axis=1)[order].astype(np.int32)
        self.values = np.ascontiguousarray(coefficients[tuple(self.indices.T)])
        self.matrix = torch.from_numpy(coefficients).flatten(0, 1).T.contiguous()


def gaunt_product(left: Tensor, right: Tensor, terms: GauntTerms) -> Tensor:
    """Multiply two tensors (n, M, channels), channel by channel.

    Differentiable with respect to both, twice.
    """
    if left.device.type != "cpu":
        return plain_gaunt_product(left, right, terms)
    result: Tensor = _GauntProduct.apply(left, right, terms)  # type: ignore[no-untyped-call]
    return result


def plain_gaunt_product(left: Tensor, right: Tensor, terms: GauntTerms) -> Tensor:
    """Do what `gaunt_product` does, as plain torch operations."""
    outer = (left[:, :, None] * right[:, None, :]).flatten(1, 2)
    return torch.matmul(terms.matrix.to(outer.device, outer.dtype), outer)


class _GauntProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, terms: GauntTerms) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.terms = terms
        first, second = _array(left), _array(right)
        out = np.zeros_like(first)
        _forward(first, second, terms.indices, terms.values.astype(first.dtype), out)
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        terms = ctx.terms
        if torch.is_grad_enabled():

            def plain(left: Tensor, right: Tensor) -> Tensor:
                return plain_gaunt_product(left, right, terms)

            needed = ctx.needs_input_grad[:2]
            return (*differentiable_adjoint(plain, ctx.saved_tensors, needed, gradient), None)
        left, right = (_array(x) for x in ctx.saved_tensors)
        to_left, to_right = np.zeros_like(left), np.zeros_like(right)
        values = terms.values.astype(left.dtype)
        _backward(left, right, terms.indices, values, _array(gradient), to_left, to_right)
        return torch.from_numpy(to_left), torch.from_numpy(to_right), None


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _forward(left: Any, right: Any, indices: Any, values: Any, out: Any) -> None:
    channels = left.shape[2]
    for n in range(left.shape[0]):
        for t in range(len(values)):
            i, j, k = indices[t, 0], indices[t, 1], indices[t, 2]
            value = values[t]
            for c in range(channels):
                out[n, k, c] += value * (left[n, i, c] * right[n, j, c])


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _backward(
    left: Any, right: Any, indices: Any, values: Any, gradient: Any, to_left: Any, to_right: Any
) -> None:
    channels = left.shape[2]
    for n in range(left.shape[0]):
        for t in range(len(values)):
            i, j, k = indices[t, 0], indices[t, 1], indices[t, 2]
            value = values[t]
            # One array written in each loop: more would defeat vectorisation.
            for c in range(channels):
                to_left[n, i, c] += value * (gradient[n, k, c] * right[n, j, c])
            for c in range(channels):
                to_right[n, j, c] += value * (gradient[n, k, c] * left[n, i, c])
