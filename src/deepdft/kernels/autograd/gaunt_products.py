"""Products of spherical tensors, differentiable; see `deepdft.kernels.angular.gaunt_products`."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepdft.kernels.angular.gaunt_products import (
    GauntTerms,
    add_gaunt_adjoint,
    add_gaunt_product,
)
from deepdft.kernels.autograd.adjoint import differentiable_adjoint


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
    matrix = torch.from_numpy(terms.matrix).to(outer.device, outer.dtype)
    return torch.matmul(matrix, outer)


class _GauntProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor, terms: GauntTerms) -> Tensor:
        ctx.save_for_backward(left, right)
        ctx.terms = terms
        first, second = _array(left), _array(right)
        out = np.zeros_like(first)
        add_gaunt_product(first, second, terms.indices, terms.values.astype(first.dtype), out)
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
        add_gaunt_adjoint(left, right, terms.indices, values, _array(gradient), to_left, to_right)
        return torch.from_numpy(to_left), torch.from_numpy(to_right), None


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
