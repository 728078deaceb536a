"""Messages of scalars and spherical tensors between atoms.

With R what an edge e from atom j weighs messages by, and A what j sends,

    scalars:  out[i, c]    = sum over edges e of i of  R0[e, c] A0[j, c]
    tensors:  out[i, m, c] = sum over edges e of i of  R1[e, l(m), c] A1[j, c] Y[e, m]
                                                     + R2[e, l(m), c] A2[j, c] V[j, m, c]

A1 is spread over the spherical harmonics Y of an edge, and tensors V are passed on. On a CPU one
compiled loop over the edges replaces arrays of (edges, M, channels) and of (edges, width).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.edges.adjoint import differentiable_adjoint


class MessageLayout(NamedTuple):
    """How rows of `functions` and `sent` are made up.

    Attributes:
        scalars: columns of R0 and of A0.
        channels: of the tensors.
        degrees: L + 1.
        passes: whether tensors are passed on: without it R2, A2 and V are absent.
    """

    scalars: int
    channels: int
    degrees: int
    passes: bool

    @property
    def factors(self) -> int:
        """Number of columns of A1 and A2."""
        return (2 if self.passes else 1) * self.channels

    @property
    def functions(self) -> int:
        """Number of columns of `functions`: R0, then R1 and R2 by degree."""
        return self.scalars + self.factors * self.degrees


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
        _forward(
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
        _backward(
            functions, sent, harmonics, _array(edges.senders), _array(edges.offsets), tuple(layout),
            _array(gradient), to_functions, to_sent,
        )  # fmt: skip
        return torch.from_numpy(to_functions), torch.from_numpy(to_sent), None, None, None


def _array(tensor: Tensor) -> Any:
    return tensor.detach().contiguous().numpy()


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _put(out: Any, left: Any, right: Any) -> None:
    for c in range(len(out)):
        out[c] = left[c] * right[c]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add(out: Any, left: Any, right: Any) -> None:
    # One array written in each loop: more would defeat vectorisation. So would sums of indices,
    # which might be negative: callers pass slices.
    for c in range(len(out)):
        out[c] += left[c] * right[c]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _add_multiple(out: Any, left: Any, factor: Any) -> None:
    for c in range(len(out)):
        out[c] += left[c] * factor


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _part(row: Any, start: int, number: int, width: int) -> Any:
    first = start + number * width
    return row[first : first + width]


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _forward(
    functions: Any, sent: Any, harmonics: Any, senders: Any, offsets: Any, layout: Any, out: Any
) -> None:
    scalars, channels, degrees, passes = layout
    spread = np.empty(channels, sent.dtype)
    passed = np.empty(channels, sent.dtype)
    for i in range(len(offsets) - 1):
        summed = out[i]
        for e in range(offsets[i], offsets[i + 1]):
            weights, arriving = functions[e], sent[senders[e]]
            _add(summed[:scalars], weights[:scalars], arriving[:scalars])
            for degree in range(degrees):
                factors = _part(arriving, scalars, 0, channels)
                _put(spread, _part(weights, scalars, degree, channels), factors)
                if passes:
                    factors = _part(arriving, scalars, 1, channels)
                    _put(passed, _part(weights, scalars, degrees + degree, channels), factors)
                for m in range(degree * degree, (degree + 1) * (degree + 1)):
                    component = _part(summed, scalars, m, channels)
                    _add_multiple(component, spread, harmonics[e, m])
                    if passes:
                        _add(component, passed, _part(arriving, scalars, m + 2, channels))


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _backward(
    functions: Any, sent: Any, harmonics: Any, senders: Any, offsets: Any, layout: Any,
    gradient: Any, to_functions: Any, to_sent: Any,
) -> None:  # fmt: skip
    scalars, channels, degrees, passes = layout
    to_spread = np.empty(channels, sent.dtype)
    to_passed = np.empty(channels, sent.dtype)
    passed = np.empty(channels, sent.dtype)
    for i in range(len(offsets) - 1):
        given = gradient[i]
        for e in range(offsets[i], offsets[i + 1]):
            weights, arriving = functions[e], sent[senders[e]]
            to_weights, to_arriving = to_functions[e], to_sent[senders[e]]
            _put(to_weights[:scalars], given[:scalars], arriving[:scalars])
            _add(to_arriving[:scalars], given[:scalars], weights[:scalars])
            for degree in range(degrees):
                first = _part(weights, scalars, degree, channels)
                second = _part(weights, scalars, degrees + degree, channels)
                to_spread[:] = 0.0
                to_passed[:] = 0.0
                if passes:
                    _put(passed, second, _part(arriving, scalars, 1, channels))
                for m in range(degree * degree, (degree + 1) * (degree + 1)):
                    component = _part(given, scalars, m, channels)
                    _add_multiple(to_spread, component, harmonics[e, m])
                    if passes:
                        _add(to_passed, component, _part(arriving, scalars, m + 2, channels))
                        _add(_part(to_arriving, scalars, m + 2, channels), component, passed)
                to_first = _part(to_weights, scalars, degree, channels)
                _put(to_first, to_spread, _part(arriving, scalars, 0, channels))
                _add(_part(to_arriving, scalars, 0, channels), to_spread, first)
                if passes:
                    to_second = _part(to_weights, scalars, degrees + degree, channels)
                    _put(to_second, to_passed, _part(arriving, scalars, 1, channels))
                    _add(_part(to_arriving, scalars, 1, channels), to_passed, second)
