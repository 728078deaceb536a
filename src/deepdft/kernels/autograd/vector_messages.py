"""Messages with a scalar and a vector part, from filters of distance and directions of edges.

For every step t, receiver p and edge e from sender w at distance d in the direction u,

    scalar[t, p]    = sum over e of  scalar filter[t](d)    * sent scalar[t, w]
    vector[i, t, p] = sum over e of  vector filter[t](d)    * sent vector[i, t, w]
                                   + direction filter[t](d) * sent weight[t, w] * u[i]

What is sent is a row of (5 T, atoms, channels): scalars, the three components of the vectors,
weights of directions, each for all steps. Filters are rows in the same way, (3 T, ...). Since the
filters of an edge come from a table, no edge costs a matrix product, and in float32 on a CPU none
of its filters goes through memory.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deepdft.arrays import Array
from deepdft.geometry.graphs import Edges
from deepdft.kernels.autograd.messages import direct_messages
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.edges import sorted_messages
from deepdft.kernels.edges.block_messages import sum_messages

NO_DIRECTION = 1e-8
"""Distance up to which an edge has no direction, Å: what is left of it is rounding."""


def edge_directions(edges: Edges) -> Tensor:
    """Return the unit vectors of edges, (edges, 3), from sender to receiver; zero at distance 0.

    Differentiable in vectors and distances; at distance 0 the derivatives are zero as well.
    """
    assert edges.vectors is not None, "the edges have no vectors"
    apart = edges.distances > NO_DIRECTION
    length = torch.where(apart, edges.distances, torch.ones_like(edges.distances))
    return torch.where(apart[:, None], edges.vectors / length[:, None], 0.0)


def direct_vector_messages(filters: Tensor, senders: Tensor, edges: Edges) -> Tensor:
    """Sum messages from filters that are already evaluated on every edge; the reference.

    Args:
        filters: (3 T, edges, channels).
        senders: (5 T, atoms, channels).
        edges: from atoms to receivers, with vectors.

    Returns:
        (4, T, receivers, channels): scalars, then the three components of the vectors.
    """
    scalar_filters, vector_filters, direction_filters = filters.chunk(3)
    scalars, *vectors, weights = senders.chunk(5)
    parts = [direct_messages(scalar_filters, scalars, edges)]
    for component, along in zip(vectors, edge_directions(edges).T, strict=True):
        directed = direct_messages(direction_filters * along[:, None], weights, edges)
        parts.append(direct_messages(vector_filters, component, edges) + directed)
    return torch.stack(parts)


def vector_messages(table: RadialTable, senders: Tensor, edges: Edges) -> Tensor:
    """Sum messages with tabulated filters.

    Differentiable in everything; twice, if distances or vectors require gradients.

    Args:
        table: (3 T, knots, 3, channels) entries.
        senders: (5 T, atoms, channels), of the table's type.
        edges: from atoms to receivers, with vectors.

    Returns:
        (4, T, receivers, channels), see `direct_vector_messages`.
    """
    directions = edge_directions(edges)
    entries = table.entries
    moving = edges.distances.requires_grad or directions.requires_grad
    if entries.device.type == "cpu" and not moving and sorted_messages.suits(_array(entries)):
        result: Tensor = _VectorMessages.apply(entries, senders, edges, directions, table.spacing)  # type: ignore[no-untyped-call]
        return result
    steps = entries.shape[0] // 3
    # Step by step: all filters of all edges at once would be the largest array by far.
    parts = [
        direct_vector_messages(
            interpolate(RadialTable(entries[t::steps], table.spacing), edges.distances),
            senders[t::steps],
            edges,
        )
        for t in range(steps)
    ]
    return torch.cat(parts, dim=1)


class _VectorMessages(torch.autograd.Function):
    """The compiled form, with first derivatives by table and senders."""

    @staticmethod
    def forward(
        ctx: Any, entries: Tensor, senders: Tensor, edges: Edges, directions: Tensor, spacing: float
    ) -> Tensor:
        ctx.save_for_backward(entries, senders)
        ctx.kernel = _Kernel(entries.shape[1], edges, directions, spacing)
        return torch.from_numpy(ctx.kernel.forward(_array(entries), _array(senders)))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        entries, senders = ctx.saved_tensors
        found = ctx.kernel.backward(_array(entries), _array(senders), _array(gradient))
        return (*map(torch.from_numpy, found), None, None, None)


class _Kernel:
    """Edges sorted by interval of the table, with their weights times each part of directions."""

    def __init__(self, knots: int, edges: Edges, directions: Tensor, spacing: float) -> None:
        self.knots, self.receivers = knots, edges.n_receivers
        numbers = np.arange(len(edges.senders), dtype=np.int32)
        found = sorted_messages.sort_edges(
            _array(edges.distances), numbers, _array(edges.offsets), spacing, knots
        )
        order = found.atoms
        self.edges = found._replace(atoms=_array(edges.senders)[order])
        weights = found.weights.reshape(6, -1)
        self.along = [
            self.edges._replace(weights=(weights * column).reshape(-1))
            for column in _array(directions).astype(np.float32, copy=False)[order].T
        ]

    def forward(self, table: Array, senders: Array) -> Array:
        steps, _, channels = senders.shape
        steps //= 5
        out = np.empty((4, steps, self.receivers, channels), np.float32)
        directed = np.empty((self.receivers, channels), np.float32)
        for t in range(steps):
            self._sum(table[t], senders[t], self.edges, out[0, t])
            for i in range(3):
                self._sum(table[steps + t], senders[(1 + i) * steps + t], self.edges, out[1 + i, t])
                self._sum(table[2 * steps + t], senders[4 * steps + t], self.along[i], directed)
                out[1 + i, t] += directed
        return out

    def backward(self, table: Array, senders: Array, gradient: Array) -> tuple[Array, Array]:
        steps = len(senders) // 5
        results = np.zeros_like(table), np.zeros_like(senders)
        for t in range(steps):
            self._add(table, senders, t, t, self.edges, gradient[0, t], results)
            for i in range(3):
                rows = steps + t, (1 + i) * steps + t
                self._add(table, senders, *rows, self.edges, gradient[1 + i, t], results)
                rows = 2 * steps + t, 4 * steps + t
                self._add(table, senders, *rows, self.along[i], gradient[1 + i, t], results)
        return results

    def _sum(
        self, table: Array, senders: Array, edges: sorted_messages.SortedEdges, out: Array
    ) -> None:
        sum_messages(
            table.reshape(-1), senders.reshape(-1), *edges, self.knots, senders.shape[1],
            self.receivers, out.reshape(-1),
        )  # fmt: skip

    def _add(
        self, table: Array, senders: Array, filter_row: int, sender_row: int,
        edges: sorted_messages.SortedEdges, gradient: Array, results: tuple[Array, Array],
    ) -> None:  # fmt: skip
        sorted_messages.add_adjoint(
            table[filter_row].reshape(-1), senders[sender_row].reshape(-1), *edges, self.knots,
            senders.shape[2], gradient.reshape(-1), results[0][filter_row].reshape(-1),
            results[1][sender_row].reshape(-1),
        )  # fmt: skip


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy()
    return array
