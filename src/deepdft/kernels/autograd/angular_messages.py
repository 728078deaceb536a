"""Messages with angular parts: fields at probes, expanded around the atoms.

``messages[p, c] = sum over edges e of p of f_c(d_e) sum over m of S_m[sender(e), c] Y_lm(v_e)``

with filters f_c of distance from a table, softened spherical harmonics Y_lm of the edge's vector
(`deepdft.kernels.angular.harmonics`), and one angular momentum l for each channel c. With l = 0
alone it is the operation of `deepdft.kernels.autograd.messages`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from deepdft.arrays import Array
from deepdft.geometry.graphs import Edges
from deepdft.kernels.angular.by_degree import LARGEST_DEGREE
from deepdft.kernels.angular.harmonics import (
    fill_soft_harmonics,
    harmonic_count,
    harmonic_steps,
)
from deepdft.kernels.angular.layouts import AngularLayout
from deepdft.kernels.angular.messages import add_angular_adjoint, sum_angular_messages
from deepdft.kernels.autograd.adjoint import differentiable_adjoint
from deepdft.kernels.autograd.harmonics import soft_harmonics
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.edges.block_edges import hermite_weights, sort_by_interval
from deepdft.kernels.simd.vectors import PANEL


def angular_messages(
    table: RadialTable, senders: Tensor, edges: Edges, layout: AngularLayout
) -> Tensor:
    """Sum messages with angular parts.

    Differentiable with respect to the table, the senders and the edges, twice.

    Args:
        table: filters (1, knots, 3, width).
        senders: (1, atoms, sender_width), of the table's dtype.
        edges: from atoms to receivers, with vectors.
        layout: which channel has which angular momentum.

    Returns:
        (1, receivers, width).
    """
    if suits_compiled_form(table, layout):
        result: Tensor = _AngularMessages.apply(
            table.entries, senders, edges.distances, edges.vectors, edges, table.spacing, layout
        )  # type: ignore[no-untyped-call]
        return result
    return plain_angular_messages(interpolate(table, edges.distances), senders, edges, layout)


def plain_angular_messages(
    filters: Tensor, senders: Tensor, edges: Edges, layout: AngularLayout
) -> Tensor:
    """Do what `angular_messages` does with filters (1, edges, width), in plain torch."""
    assert edges.vectors is not None, "edges without vectors have no direction"
    harmonics = soft_harmonics(edges.vectors, layout.largest, layout.softness)
    sent = senders[0, edges.senders.long()]
    starts = layout.sender_starts
    contracted = []
    for momentum, count in enumerate(layout.channels):
        components = sent[:, starts[momentum] : starts[momentum + 1]]
        angular = harmonics[:, momentum**2 : (momentum + 1) ** 2]
        contracted.append(torch.einsum("em,emc->ec", angular, components.unflatten(1, (-1, count))))
    products = filters[0] * torch.cat(contracted, dim=1)
    empty = products.new_zeros((edges.n_receivers, layout.width))
    return empty.index_add(0, edges.receivers, products)[None]


def suits_compiled_form(table: RadialTable, layout: AngularLayout) -> bool:
    """Return whether the compiled form can be used: float32 on a CPU, whole panels of channels."""
    if table.entries.device.type != "cpu" or table.entries.dtype != torch.float32:
        return False
    panels = all(count % PANEL == 0 for count in layout.channels)
    return panels and layout.largest <= LARGEST_DEGREE


class _AngularMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, entries: Tensor, senders: Tensor, distances: Tensor, vectors: Tensor,
        edges: Edges, spacing: float, layout: AngularLayout,
    ) -> Tensor:  # fmt: skip
        ctx.save_for_backward(entries, senders, distances, vectors)
        ctx.edges, ctx.spacing, ctx.layout = edges, spacing, layout
        ctx.sorted = _sort_edges(edges, spacing, entries.shape[1], layout)
        return _forward(entries, senders, ctx.sorted, layout)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        wanted = ctx.needs_input_grad
        if torch.is_grad_enabled() or wanted[2] or wanted[3]:

            def plain(
                entries: Tensor, senders: Tensor, distances: Tensor, vectors: Tensor
            ) -> Tensor:
                edges = Edges(ctx.edges.senders, ctx.edges.offsets, distances, vectors)
                filters = interpolate(RadialTable(entries, ctx.spacing), distances)
                return plain_angular_messages(filters, senders, edges, ctx.layout)

            gradients_found = differentiable_adjoint(plain, ctx.saved_tensors, wanted[:4], gradient)
            return (*gradients_found, None, None, None)
        entries, senders = ctx.saved_tensors[:2]
        found = _backward(entries, senders, ctx.sorted, ctx.layout, gradient)
        return (*found, None, None, None, None, None)


class SortedEdges(NamedTuple):
    """Edges by interval of the table.

    Attributes:
        atoms, receivers: (edges,) int32.
        weights: (6 * edges,) float32 Hermite weights, by weight and then by edge.
        harmonics: (functions * edges,) float32, likewise.
        starts: (knots,) int64; the edges of interval k are starts[k]:starts[k + 1].
        n_receivers: number of receivers.
    """

    atoms: Array
    receivers: Array
    weights: Array
    harmonics: Array
    starts: Array
    n_receivers: int


def _sort_edges(edges: Edges, spacing: float, knots: int, layout: AngularLayout) -> SortedEdges:
    """Sort edges with vectors by the interval that their distance falls in."""
    assert edges.vectors is not None
    n_edges = len(edges.distances)
    order = np.empty(n_edges, np.int32)
    receivers = np.empty(n_edges, np.int32)
    weights = np.empty(6 * n_edges, np.float32)
    starts = np.empty(knots, np.int64)
    offsets = np.empty(n_edges)
    scaled = edges.distances.detach().double().numpy() / spacing
    found = np.repeat(np.arange(edges.n_receivers, dtype=np.int32), np.diff(edges.offsets.numpy()))
    sort_by_interval(
        scaled, n_edges, knots, np.arange(n_edges, dtype=np.int32), found,
        np.empty(n_edges, np.int32), offsets, order, receivers, starts,
    )  # fmt: skip
    hermite_weights(offsets, n_edges, weights, n_edges)
    x, y, z = np.ascontiguousarray(edges.vectors.detach().double().numpy()[order].T)
    harmonics = np.empty(harmonic_count(layout.largest) * n_edges, np.float32)
    fill_soft_harmonics(
        x, y, z, n_edges, layout.softness, *harmonic_steps(layout.largest), harmonics, n_edges
    )
    atoms = edges.senders.numpy()[order]
    return SortedEdges(atoms, receivers, weights, harmonics, starts, edges.n_receivers)


def _forward(entries: Tensor, senders: Tensor, edges: SortedEdges, layout: AngularLayout) -> Tensor:
    """Return messages (1, receivers, width); see `angular_messages`."""
    out = np.zeros((1, edges.n_receivers, layout.width), np.float32)
    sum_angular_messages(
        _flat(entries), _flat(senders), *edges[:5], np.array(layout.channels), layout.width,
        layout.sender_width, out.reshape(-1),
    )  # fmt: skip
    return torch.from_numpy(out)


def _backward(
    entries: Tensor, senders: Tensor, edges: SortedEdges, layout: AngularLayout, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients to table and senders from that to the messages."""
    table_gradient = np.zeros(tuple(entries.shape), np.float32)
    sender_gradient = np.zeros(tuple(senders.shape), np.float32)
    add_angular_adjoint(
        _flat(entries), _flat(senders), *edges[:5], np.array(layout.channels), layout.width,
        layout.sender_width, _flat(gradient), table_gradient.reshape(-1),
        sender_gradient.reshape(-1),
    )  # fmt: skip
    return torch.from_numpy(table_gradient), torch.from_numpy(sender_gradient)


def _flat(tensor: Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy().reshape(-1)
    return array
