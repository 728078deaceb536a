"""Messages with angular parts and their adjoint on a CPU, in float32, one thread, no lock held.

Edges are sorted by interval of the filter table (see `deepdft.kernels.edges.block_edges`), their
harmonics computed once for all channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.angular.angular_sums import adjoint_angular_interval, sum_angular_interval
from deepdft.kernels.angular.harmonics import fill_soft_harmonics, harmonic_count
from deepdft.kernels.edges.block_edges import sort_by_interval
from deepdft.kernels.simd.vectors import PANEL, address

if TYPE_CHECKING:
    from deepdft.kernels.angular.angular_messages import AngularLayout

Array = NDArray[Any]

# One for each angular momentum: the number of components is a constant of the compiled code.
_sum_s, _sum_p, _sum_d, _sum_f, _sum_g = (sum_angular_interval(n) for n in (1, 3, 5, 7, 9))
_adjoint_s, _adjoint_p, _adjoint_d, _adjoint_f, _adjoint_g = (
    adjoint_angular_interval(n) for n in (1, 3, 5, 7, 9)
)


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


def sort_edges(edges: Edges, spacing: float, knots: int, layout: AngularLayout) -> SortedEdges:
    """Sort edges with vectors by the interval that their distance falls in."""
    assert edges.vectors is not None
    n_edges = len(edges.distances)
    order = np.empty(n_edges, np.int32)
    receivers = np.empty(n_edges, np.int32)
    weights = np.empty(6 * n_edges, np.float32)
    starts = np.empty(knots, np.int64)
    scaled = edges.distances.detach().double().numpy() / spacing
    found = np.repeat(np.arange(edges.n_receivers, dtype=np.int32), np.diff(edges.offsets.numpy()))
    sort_by_interval(
        scaled, n_edges, knots, np.arange(n_edges, dtype=np.int32), found,
        np.empty(n_edges, np.int32), np.empty(n_edges), order, receivers, weights, starts,
    )  # fmt: skip
    x, y, z = np.ascontiguousarray(edges.vectors.detach().double().numpy()[order].T)
    harmonics = np.empty(harmonic_count(layout.largest) * n_edges, np.float32)
    fill_soft_harmonics(x, y, z, n_edges, layout.largest, layout.softness, harmonics, n_edges)
    atoms = edges.senders.numpy()[order]
    return SortedEdges(atoms, receivers, weights, harmonics, starts, edges.n_receivers)


def forward(entries: Tensor, senders: Tensor, edges: SortedEdges, layout: AngularLayout) -> Tensor:
    """Return messages (1, receivers, width); see `angular_messages`."""
    out = np.zeros((1, edges.n_receivers, layout.width), np.float32)
    sum_angular_messages(
        _flat(entries), _flat(senders), *edges[:5], np.array(layout.channels), layout.width,
        layout.sender_width, out.reshape(-1),
    )  # fmt: skip
    return torch.from_numpy(out)


def backward(
    entries: Tensor, senders: Tensor, edges: SortedEdges, layout: AngularLayout, gradient: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the gradients to table and senders from that to the messages."""
    table_gradient = np.zeros(tuple(entries.shape), np.float32)
    sender_gradient = np.zeros(tuple(senders.shape), np.float32)
    _adjoint_messages(
        _flat(entries), _flat(senders), *edges[:5], np.array(layout.channels), layout.width,
        layout.sender_width, _flat(gradient), table_gradient.reshape(-1),
        sender_gradient.reshape(-1),
    )  # fmt: skip
    return torch.from_numpy(table_gradient), torch.from_numpy(sender_gradient)


def _flat(tensor: Tensor) -> Array:
    array: Array = tensor.detach().contiguous().numpy().reshape(-1)
    return array


@numba.njit(nogil=True, cache=True, error_model="numpy")
def sum_angular_messages(
    table: Any, senders: Any, atoms: Any, receivers: Any, weights: Any, harmonics: Any,
    starts: Any, channels: Any, width: int, sender_width: int, out: Any,
) -> None:  # fmt: skip
    """Add messages to `out`, (receivers * width,).

    Args:
        table: (knots * 3 * width,) entries.
        senders: (atoms * sender_width,).
        atoms, receivers, weights, harmonics, starts: see `SortedEdges`; weights and harmonics may
            be longer than there are edges.
        channels: number of channels of each angular momentum, whole panels.
        width, sender_width: sizes of rows.
        out: messages.
    """
    stride = len(weights) // 6
    channel = sent = 0
    for momentum in range(len(channels)):
        count = channels[momentum]
        for panel in range(0, count, PANEL):
            for k in range(len(starts) - 1):
                first, last = starts[k], starts[k + 1]
                if first == last:
                    continue
                arguments = (
                    address(table, 3 * k * width + channel + panel), width,
                    address(senders, sent + panel), sender_width, count, address(atoms, 0),
                    address(out, channel + panel), address(receivers, 0), address(weights, 0),
                    address(harmonics, momentum * momentum * stride), stride, first, last,
                )  # fmt: skip
                if momentum == 0:
                    _sum_s(*arguments)
                elif momentum == 1:
                    _sum_p(*arguments)
                elif momentum == 2:
                    _sum_d(*arguments)
                elif momentum == 3:
                    _sum_f(*arguments)
                else:
                    _sum_g(*arguments)
        channel += count
        sent += (2 * momentum + 1) * count


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _adjoint_messages(
    table: Any, senders: Any, atoms: Any, receivers: Any, weights: Any, harmonics: Any,
    starts: Any, channels: Any, width: int, sender_width: int, gradient: Any, table_gradient: Any,
    sender_gradient: Any,
) -> None:  # fmt: skip
    stride = len(weights) // 6
    channel = sent = 0
    for momentum in range(len(channels)):
        count = channels[momentum]
        for panel in range(0, count, PANEL):
            for k in range(len(starts) - 1):
                first, last = starts[k], starts[k + 1]
                if first == last:
                    continue
                place = 3 * k * width + channel + panel
                arguments = (
                    address(table, place), width, address(senders, sent + panel), sender_width,
                    count, address(atoms, 0), address(gradient, channel + panel),
                    address(receivers, 0), address(weights, 0),
                    address(harmonics, momentum * momentum * stride), stride, first, last,
                    address(table_gradient, place), address(sender_gradient, sent + panel),
                )  # fmt: skip
                if momentum == 0:
                    _adjoint_s(*arguments)
                elif momentum == 1:
                    _adjoint_p(*arguments)
                elif momentum == 2:
                    _adjoint_d(*arguments)
                elif momentum == 3:
                    _adjoint_f(*arguments)
                else:
                    _adjoint_g(*arguments)
        channel += count
        sent += (2 * momentum + 1) * count
