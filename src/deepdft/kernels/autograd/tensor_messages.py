"""Messages of scalars and spherical tensors between atoms, differentiable.

See `deepdft.kernels.angular.tensor_messages`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.angular.layouts import MessageLayout
from deepdft.kernels.angular.tensor_messages import add_tensor_adjoint, sum_tensor_messages
from deepdft.kernels.autograd.adjoint import differentiable_adjoint


def tensor_messages(
    functions: Tensor, sent: Tensor, harmonics: Tensor, edges: Edges, layout: MessageLayout
) -> Tensor:
    """Sum the messages of scalars and tensors.

    Differentiable with respect to all tensors, twice.

    Args:
        functions: R0, R1, R2 in a row, (edges, layout.functions).
        sent: A0, A1, A2 and V in a row, (senders, scalars + factors + M * channels).
        harmonics: Y, (edges, M).
        edges: from senders to receivers.
        layout: how the rows are made up.

    Returns:
        Scalars and tensors in a row, (receivers, scalars + M * channels).
    """
    if functions.device.type != "cpu":
        return plain_tensor_messages(functions, sent, harmonics, edges, layout)
    result: Tensor = _TensorMessages.apply(functions, sent, harmonics, edges, layout)  # type: ignore[no-untyped-call]
    return result


def plain_tensor_messages(
    functions: Tensor, sent: Tensor, harmonics: Tensor, edges: Edges, layout: MessageLayout
) -> Tensor:
    """Do what `tensor_messages` does, as plain torch operations."""
    f, c = layout.scalars, layout.channels
    sizes = 2 * torch.arange(layout.degrees, device=sent.device) + 1
    degrees = torch.arange(layout.degrees, device=sent.device).repeat_interleave(sizes)
    arriving = sent[edges.senders.long()]
    scalars = functions[:, :f] * arriving[:, :f]
    weights = functions[:, f:].unflatten(1, (-1, layout.degrees, c))
    weights = weights * arriving[:, f : f + layout.factors].unflatten(1, (-1, 1, c))
    tensors = weights[:, 0, degrees] * harmonics[:, :, None]
    if layout.passes:
        passed = arriving[:, f + layout.factors :].unflatten(1, (-1, c))
        tensors = tensors + weights[:, 1, degrees] * passed
    messages = torch.cat((scalars, tensors.flatten(1)), dim=1)
    empty = messages.new_zeros((edges.n_receivers, messages.shape[1]))
    return empty.index_add(0, edges.receivers, messages)


class _TensorMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, functions: Tensor, sent: Tensor, harmonics: Tensor, edges: Edges,
        layout: MessageLayout,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(functions, sent, harmonics)
        ctx.edges, ctx.layout = edges, layout
        weights, senders = _array(functions), _array(sent)
        width = layout.scalars + harmonics.shape[1] * layout.channels
        out = np.zeros((edges.n_receivers, width), senders.dtype)
        sum_tensor_messages(
            weights, senders, _array(harmonics), _array(edges.senders), _array(edges.offsets),
            tuple(layout), out,
        )  # fmt: skip
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        inputs, edges, layout = ctx.saved_tensors, ctx.edges, ctx.layout
        if torch.is_grad_enabled() or ctx.needs_input_grad[2]:

            def plain(functions: Tensor, sent: Tensor, harmonics: Tensor) -> Tensor:
                return plain_tensor_messages(functions, sent, harmonics, edges, layout)

            needed = ctx.needs_input_grad[:3]
            return (*differentiable_adjoint(plain, inputs, needed, gradient), None, None)
        functions, sent, harmonics = (_array(x) for x in inputs)
        to_functions, to_sent = np.zeros_like(functions), np.zeros_like(sent)
        add_tensor_adjoint(
            functions, sent, harmonics, _array(edges.senders), _array(edges.offsets), tuple(layout),
            _array(gradient), to_functions, to_sent,
        )  # fmt: skip
        return torch.from_numpy(to_functions), torch.from_numpy(to_sent), None, None, None


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()
