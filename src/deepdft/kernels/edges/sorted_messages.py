"""Messages and their adjoint by interval of the filter table, in float32, for training.

As in `deepdft.kernels.edges.block_edges`, edges are sorted by the interval that their distance
falls in, so that the table's rows, and in the adjoint their gradients as well, stay in registers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled
from deepdft.kernels.edges.block_edges import hermite_weights, sort_by_interval
from deepdft.kernels.edges.block_messages import sum_messages
from deepdft.kernels.edges.interval_sums import adjoint_interval
from deepdft.kernels.simd.vectors import PANEL, address


class SortedEdges(NamedTuple):
    """Edges by interval; see `deepdft.kernels.edges.block_edges.BlockEdges`."""

    atoms: Array
    receivers: Array
    weights: Array
    starts: Array


def suits(table: Array) -> bool:
    """Return whether a table (steps, knots, 3, channels) suits this form: float32, whole panels."""
    return table.dtype == np.float32 and table.shape[3] % PANEL == 0


def forward(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, out: Array,
) -> Array:  # fmt: skip
    """Messages of all steps; arguments as of `deepdft.kernels.edges.cpu.forward`."""
    steps, knots, _, channels = table.shape
    edges = sort_edges(distances, edge_senders, offsets, spacing, knots)
    for t in range(steps):
        sum_messages(
            table[t].reshape(-1), senders[t].reshape(-1), *edges, knots, channels, out.shape[1],
            out[t].reshape(-1),
        )  # fmt: skip
    return out


def backward(
    table: Array, spacing: float, senders: Array, distances: Array, edge_senders: Array,
    offsets: Array, gradient: Array, table_gradient: Array, sender_gradient: Array,
) -> None:  # fmt: skip
    """Add to the gradients of table and senders; arguments as of
    `deepdft.kernels.edges.cpu.backward`."""
    steps, knots, _, channels = table.shape
    edges = sort_edges(distances, edge_senders, offsets, spacing, knots)
    for t in range(steps):
        add_adjoint(
            table[t].reshape(-1), senders[t].reshape(-1), *edges, knots, channels,
            gradient[t].reshape(-1), table_gradient[t].reshape(-1), sender_gradient[t].reshape(-1),
        )  # fmt: skip


def sort_edges(
    distances: Array, edge_senders: Array, offsets: Array, spacing: float, knots: int
) -> SortedEdges:
    """Sort edges by interval; arguments as of `deepdft.kernels.edges.cpu.forward`."""
    n_edges = len(distances)
    shares = np.empty(n_edges)
    scaled = distances.astype(np.float64) / spacing
    receivers = np.repeat(np.arange(len(offsets) - 1, dtype=np.int32), np.diff(offsets))
    result = SortedEdges(
        np.empty(n_edges, np.int32), np.empty(n_edges, np.int32),
        np.empty(6 * n_edges, np.float32), np.empty(knots, np.int64),
    )  # fmt: skip
    sort_by_interval(
        scaled, n_edges, knots, edge_senders, receivers, np.empty(n_edges, np.int32), shares,
        result.atoms, result.receivers, result.starts,
    )  # fmt: skip
    hermite_weights(shares, n_edges, result.weights, n_edges)
    return result


@compiled
def add_adjoint(
    table: Any, senders: Any, atoms: Any, receivers: Any, weights: Any, starts: Any, knots: int,
    width: int, gradient: Any, table_gradient: Any, sender_gradient: Any,
) -> None:  # fmt: skip
    """Add to the gradients of one step's table and senders; all arrays flat.

    The other arguments are those of `deepdft.kernels.edges.block_messages.sum_messages`, and the
    gradient of its result.
    """
    stride = len(weights) // 6
    for channel in range(0, width, PANEL):
        for k in range(knots - 1):
            first, last = starts[k], starts[k + 1]
            if first < last:
                place = 3 * k * width + channel
                adjoint_interval(
                    address(table, place), width, address(senders, channel), address(atoms, 0),
                    address(gradient, channel), address(receivers, 0), address(weights, 0), stride,
                    first, last, address(table_gradient, place),
                    address(sender_gradient, channel),
                )  # fmt: skip
