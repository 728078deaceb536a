"""Messages of spherical tensors between atoms.

``out[i, m, c] = sum over edges e of i of P[e, l(m), c] Y[e, m] + Q[e, l(m), c] V[sender(e), m, c]``

spreads scalars over the spherical harmonics Y of an edge and passes tensors V on. On a CPU one
compiled loop over the edges replaces arrays of (edges, M, channels).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from deepdft.graph import Edges
from deepdft.kernels.adjoint import differentiable_adjoint


def tensor_messages(
    spread: Tensor, passed: Tensor, harmonics: Tensor, tensors: Tensor, edges: Edges
) -> Tensor:
    """Sum the messages of tensors.

    Differentiable with respect to all tensors, twice.

    Args:
        spread: P, (edges, L + 1, channels).
        passed: Q, (edges, L + 1, channels).
        harmonics: Y, (edges, M).
        tensors: V, (senders, M, channels).
        edges: from senders to receivers.

    Returns:
        (receivers, M, channels).
    """
    if spread.device.type != "cpu":
        return plain_tensor_messages(spread, passed, harmonics, tensors, edges)
    result: Tensor = _TensorMessages.apply(spread, passed, harmonics, tensors, edges)  # type: ignore[no-untyped-call]
    return result


def plain_tensor_messages(
    spread: Tensor, passed: Tensor, harmonics: Tensor, tensors: Tensor, edges: Edges
) -> Tensor:
    """Do what `tensor_messages` does, as plain torch operations."""
    largest = spread.shape[1] - 1
    sizes = 2 * torch.arange(largest + 1, device=spread.device) + 1
    degrees = torch.arange(largest + 1, device=spread.device).repeat_interleave(sizes)
    products = spread[:, degrees] * harmonics[:, :, None]
    products = products + passed[:, degrees] * tensors[edges.senders.long()]
    empty = products.new_zeros((edges.n_receivers, *products.shape[1:]))
    return empty.index_add(0, edges.receivers, products)


class _TensorMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, spread: Tensor, passed: Tensor, harmonics: Tensor, tensors: Tensor, edges: Edges
    ) -> Tensor:
        ctx.save_for_backward(spread, passed, harmonics, tensors)
        ctx.edges = edges
        out = np.zeros((edges.n_receivers, *tensors.shape[1:]), _array(tensors).dtype)
        _forward(
            _array(spread), _array(passed), _array(harmonics), _array(tensors),
            _array(edges.senders), _array(edges.offsets), out,
        )  # fmt: skip
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled() or ctx.needs_input_grad[2]:

            def plain(spread: Tensor, passed: Tensor, harmonics: Tensor, tensors: Tensor) -> Tensor:
                return plain_tensor_messages(spread, passed, harmonics, tensors, ctx.edges)

            needed = ctx.needs_input_grad[:4]
            return (*differentiable_adjoint(plain, inputs, needed, gradient), None)
        spread, passed, harmonics, tensors = (_array(x) for x in inputs)
        found = [np.zeros_like(x) for x in (spread, passed, tensors)]
        _backward(
            spread, passed, harmonics, tensors, _array(ctx.edges.senders),
            _array(ctx.edges.offsets), _array(gradient), *found,
        )  # fmt: skip
        to_spread, to_passed, to_tensors = (torch.from_numpy(x) for x in found)
        return to_spread, to_passed, None, to_tensors, None


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _forward(
    spread: Any, passed: Any, harmonics: Any, tensors: Any, senders: Any, offsets: Any, out: Any
) -> None:
    channels = spread.shape[2]
    for i in range(len(offsets) - 1):
        for e in range(offsets[i], offsets[i + 1]):
            j = senders[e]
            m = 0
            for degree in range(spread.shape[1]):
                for _ in range(2 * degree + 1):
                    y = harmonics[e, m]
                    for c in range(channels):
                        out[i, m, c] += (
                            spread[e, degree, c] * y + passed[e, degree, c] * tensors[j, m, c]
                        )
                    m += 1


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _backward(
    spread: Any, passed: Any, harmonics: Any, tensors: Any, senders: Any, offsets: Any,
    gradient: Any, to_spread: Any, to_passed: Any, to_tensors: Any,
) -> None:  # fmt: skip
    channels = spread.shape[2]
    for i in range(len(offsets) - 1):
        for e in range(offsets[i], offsets[i + 1]):
            j = senders[e]
            m = 0
            for degree in range(spread.shape[1]):
                for _ in range(2 * degree + 1):
                    y = harmonics[e, m]
                    # One array written in each loop: more would defeat vectorisation.
                    for c in range(channels):
                        to_spread[e, degree, c] += gradient[i, m, c] * y
                    for c in range(channels):
                        to_passed[e, degree, c] += gradient[i, m, c] * tensors[j, m, c]
                    for c in range(channels):
                        to_tensors[j, m, c] += gradient[i, m, c] * passed[e, degree, c]
                    m += 1
