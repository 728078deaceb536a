"""CPU kernels: single-threaded functions that release the interpreter lock.

Threads belong to the caller. numba's own threading layers are never used, because the default one
aborts when two Python threads enter it. Compiled code is cached on disk by numba, in the package's
`__pycache__` or, where that is read-only, in the user's cache folder.

Wide float32 tables go through `deepdft.kernels.edges.sorted_messages`; the kernels here take any
type and number of channels. Arrays are passed flattened and indexed by hand: with views of rows,
LLVM has to keep reference counts in the inner loop and the kernel is six times slower.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled
from deepdft.kernels.edges import sorted_messages
from deepdft.kernels.radial.hermite import HERMITE

# Sums may be reordered and multiply-adds fused; infinities and NaN keep their meaning.
_FAST = frozenset({"contract", "nsz", "arcp", "reassoc"})
_HERMITE = np.array(HERMITE)
_U = np.uint64  # unsigned offsets spare the check for negative indices


@compiled(fast=_FAST)
def _weights(
    distances: Array, spacing: float, knots: int, derivative: int, left: Array, out: Array
) -> None:
    """Left knot and six Hermite weights of each edge, or of a derivative of order 1 or 2."""
    for e in range(distances.shape[0]):
        scaled = np.float64(distances[e]) / spacing
        k = min(max(int(scaled), 0), knots - 2)
        left[e] = k
        u = scaled - k
        for r in range(6):
            total = 0.0
            if derivative == 0:
                for power in range(5, -1, -1):
                    total = total * u + _HERMITE[r, power]
            elif derivative == 1:
                for power in range(5, 0, -1):
                    total = total * u + power * _HERMITE[r, power]
                total /= spacing
            else:
                for power in range(5, 1, -1):
                    total = total * u + power * (power - 1) * _HERMITE[r, power]
                total /= spacing * spacing
            out[e, r] = total


# The kernels below are compiled for one number of channels each. The number is a constant of the
# compiled code: with it LLVM can prove that the six rows of the table do not overlap and vectorises
# the inner loops. numba's disk cache tells closures apart by the values they hold.


@functools.cache
def _forward_kernel(channels: int) -> Callable[..., None]:
    c = channels
    row = 3 * channels

    @compiled(fast=_FAST)
    def forward(
        table: Array, senders: Array, edge_senders: Array, left: Array, w: Array, offsets: Array,
        out: Array,
    ) -> None:  # fmt: skip
        for p in range(offsets.shape[0] - 1):
            o = _U(p) * _U(c)
            for i in range(c):
                out[o + _U(i)] = 0
            first, last = offsets[p], offsets[p + 1]
            # Two edges a pass: the running sums are loaded and stored half as often.
            for e in range(first, last - 1, 2):
                x = _U(edge_senders[e]) * _U(c)
                y = _U(edge_senders[e + 1]) * _U(c)
                a = _U(left[e]) * _U(row)
                b = _U(left[e + 1]) * _U(row)
                w0, w1, w2, w3, w4, w5 = w[e, 0], w[e, 1], w[e, 2], w[e, 3], w[e, 4], w[e, 5]
                g = e + 1
                v0, v1, v2, v3, v4, v5 = w[g, 0], w[g, 1], w[g, 2], w[g, 3], w[g, 4], w[g, 5]
                for i in range(c):
                    f = _U(i)
                    out[o + f] += senders[x + f] * (
                        w0 * table[a + f] + w1 * table[a + _U(c) + f]
                        + w2 * table[a + _U(2 * c) + f] + w3 * table[a + _U(3 * c) + f]
                        + w4 * table[a + _U(4 * c) + f] + w5 * table[a + _U(5 * c) + f]
                    ) + senders[y + f] * (
                        v0 * table[b + f] + v1 * table[b + _U(c) + f]
                        + v2 * table[b + _U(2 * c) + f] + v3 * table[b + _U(3 * c) + f]
                        + v4 * table[b + _U(4 * c) + f] + v5 * table[b + _U(5 * c) + f]
                    )  # fmt: skip
            if (last - first) % 2 == 1:
                e = last - 1
                x = _U(edge_senders[e]) * _U(c)
                a = _U(left[e]) * _U(row)
                w0, w1, w2, w3, w4, w5 = w[e, 0], w[e, 1], w[e, 2], w[e, 3], w[e, 4], w[e, 5]
                for i in range(c):
                    f = _U(i)
                    out[o + f] += senders[x + f] * (
                        w0 * table[a + f] + w1 * table[a + _U(c) + f]
                        + w2 * table[a + _U(2 * c) + f] + w3 * table[a + _U(3 * c) + f]
                        + w4 * table[a + _U(4 * c) + f] + w5 * table[a + _U(5 * c) + f]
                    )  # fmt: skip

    loop: Callable[..., None] = forward
    return loop


@functools.cache
def _backward_kernel(channels: int) -> Callable[..., None]:
    c = channels
    row = 3 * channels

    @compiled(fast=_FAST)
    def backward(
        table: Array, senders: Array, edge_senders: Array, left: Array, w: Array, offsets: Array,
        gradient: Array, table_gradient: Array, sender_gradient: Array, scratch: Array,
    ) -> None:  # fmt: skip
        for p in range(offsets.shape[0] - 1):
            o = _U(p) * _U(c)
            for e in range(offsets[p], offsets[p + 1]):
                x = _U(edge_senders[e]) * _U(c)
                a = _U(left[e]) * _U(row)
                w0, w1, w2, w3, w4, w5 = w[e, 0], w[e, 1], w[e, 2], w[e, 3], w[e, 4], w[e, 5]
                # Short loops with one array written in each: more would defeat vectorisation.
                for i in range(c):
                    f = _U(i)
                    scratch[f] = (
                        w0 * table[a + f] + w1 * table[a + _U(c) + f]
                        + w2 * table[a + _U(2 * c) + f] + w3 * table[a + _U(3 * c) + f]
                        + w4 * table[a + _U(4 * c) + f] + w5 * table[a + _U(5 * c) + f]
                    )  # fmt: skip
                for i in range(c):
                    f = _U(i)
                    sender_gradient[x + f] += gradient[o + f] * scratch[f]
                for i in range(c):
                    f = _U(i)
                    scratch[f] = gradient[o + f] * senders[x + f]
                for i in range(c):
                    f = _U(i)
                    gx = scratch[f]
                    table_gradient[a + f] += w0 * gx
                    table_gradient[a + _U(c) + f] += w1 * gx
                    table_gradient[a + _U(2 * c) + f] += w2 * gx
                    table_gradient[a + _U(3 * c) + f] += w3 * gx
                    table_gradient[a + _U(4 * c) + f] += w4 * gx
                    table_gradient[a + _U(5 * c) + f] += w5 * gx

    loop: Callable[..., None] = backward
    return loop


@functools.cache
def _distance_gradient_kernel(channels: int) -> Callable[..., None]:
    c = channels
    row = 3 * channels

    @compiled(fast=_FAST)
    def distance_gradient(
        table: Array, senders: Array, edge_senders: Array, left: Array, w: Array, offsets: Array,
        gradient: Array, out: Array,
    ) -> None:  # fmt: skip
        for p in range(offsets.shape[0] - 1):
            o = _U(p) * _U(c)
            for e in range(offsets[p], offsets[p + 1]):
                x = _U(edge_senders[e]) * _U(c)
                a = _U(left[e]) * _U(row)
                w0, w1, w2, w3, w4, w5 = w[e, 0], w[e, 1], w[e, 2], w[e, 3], w[e, 4], w[e, 5]
                total = out[e]
                for i in range(c):
                    f = _U(i)
                    total += gradient[o + f] * senders[x + f] * (
                        w0 * table[a + f] + w1 * table[a + _U(c) + f]
                        + w2 * table[a + _U(2 * c) + f] + w3 * table[a + _U(3 * c) + f]
                        + w4 * table[a + _U(4 * c) + f] + w5 * table[a + _U(5 * c) + f]
                    )  # fmt: skip
                out[e] = total

    loop: Callable[..., None] = distance_gradient
    return loop


def edge_weights(
    distances: Array, spacing: float, knots: int, derivative: int, dtype: np.dtype[Any]
) -> tuple[Array, Array]:
    """Return left knots (edges,) int32 and Hermite weights (edges, 6) of `dtype`."""
    left = np.empty(distances.shape[0], np.int32)
    weights = np.empty((distances.shape[0], 6), dtype)
    _weights(distances, spacing, knots, derivative, left, weights)
    return left, weights


def forward(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, out: Array | None = None,
) -> Array:  # fmt: skip
    """Messages of all steps from tabulated filters.

    Args:
        table: (steps, knots, 3, channels) as in `RadialTable.entries`, contiguous.
        spacing: distance between knots, Å.
        senders: (steps, atoms, channels) sender features.
        distances: (edges,) Å.
        edge_senders: (edges,) int32 atom of each edge.
        offsets: (receivers + 1,) int64; the edges of receiver p are offsets[p]:offsets[p + 1].
        out: optional (steps, receivers, channels) to write into.

    Returns:
        (steps, receivers, channels) messages, of the table's type.
    """
    steps, knots, _, channels = table.shape
    if out is None:
        out = np.empty((steps, offsets.shape[0] - 1, channels), table.dtype)
    if sorted_messages.suits(table):
        return sorted_messages.forward(
            table, spacing, senders, distances, edge_senders, offsets, out
        )
    left, weights = edge_weights(distances, spacing, knots, 0, table.dtype)
    kernel = _forward_kernel(channels)
    for t in range(steps):
        kernel(
            table[t].reshape(-1), senders[t].reshape(-1), edge_senders, left, weights, offsets,
            out[t].reshape(-1),
        )  # fmt: skip
    return out


def backward(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, gradient: Array, *, with_distances: bool,
) -> tuple[Array, Array, Array | None]:  # fmt: skip
    """Adjoint of `forward`: gradients to the table, the senders and, if asked, the distances."""
    steps, knots, _, channels = table.shape
    table_gradient = np.zeros_like(table)
    sender_gradient = np.zeros_like(senders)
    if sorted_messages.suits(table):
        sorted_messages.backward(
            table, spacing, senders, distances, edge_senders, offsets, gradient, table_gradient,
            sender_gradient,
        )  # fmt: skip
    else:
        left, weights = edge_weights(distances, spacing, knots, 0, table.dtype)
        kernel = _backward_kernel(channels)
        scratch = np.empty(channels, table.dtype)
        for t in range(steps):
            kernel(
                table[t].reshape(-1), senders[t].reshape(-1), edge_senders, left, weights, offsets,
                gradient[t].reshape(-1), table_gradient[t].reshape(-1),
                sender_gradient[t].reshape(-1), scratch,
            )  # fmt: skip
    if not with_distances:
        return table_gradient, sender_gradient, None
    distance_gradient = contracted(
        table, spacing, senders, distances, edge_senders, offsets, gradient, 1
    )
    return table_gradient, sender_gradient, distance_gradient


def contracted(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, factors: Array, derivative: int,
) -> Array:  # fmt: skip
    """Sum ``factors * senders * filters`` over steps and channels, edge by edge.

    Args:
        table, spacing, senders, distances, edge_senders, offsets: as of `forward`.
        factors: (steps, receivers, channels), contiguous.
        derivative: order of the derivative of the filters by distance, 0 to 2.

    Returns:
        (edges,), of the table's type.
    """
    steps, knots, _, channels = table.shape
    result = np.zeros(distances.shape[0], table.dtype)
    left, weights = edge_weights(distances, spacing, knots, derivative, table.dtype)
    kernel = _distance_gradient_kernel(channels)
    for t in range(steps):
        kernel(
            table[t].reshape(-1), senders[t].reshape(-1), edge_senders, left, weights, offsets,
            factors[t].reshape(-1), result,
        )  # fmt: skip
    return result


def slope_messages(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, factors: Array,
) -> Array:  # fmt: skip
    """Messages with the filters' slopes, every edge weighed by several factors in turn.

    Args:
        table, spacing, senders, distances, edge_senders, offsets: as of `forward`.
        factors: (k, edges).

    Returns:
        (k, steps, receivers, channels), of the table's type.
    """
    steps, knots, _, channels = table.shape
    out = np.empty((len(factors), steps, offsets.shape[0] - 1, channels), table.dtype)
    left, slopes = edge_weights(distances, spacing, knots, 1, np.dtype(np.float64))
    kernel = _forward_kernel(channels)
    for k, factor in enumerate(factors):
        weights = (slopes * factor[:, None]).astype(table.dtype)
        for t in range(steps):
            kernel(
                table[t].reshape(-1), senders[t].reshape(-1), edge_senders, left, weights, offsets,
                out[k, t].reshape(-1),
            )  # fmt: skip
    return out
