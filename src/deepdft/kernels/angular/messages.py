"""Messages with angular parts and their adjoint on a CPU, in float32, one thread, no lock held.

Edges are sorted by interval of the filter table (see `deepdft.kernels.edges.block_edges`), their
harmonics computed once for all channels.
"""

from __future__ import annotations

from typing import Any

from deepdft.compilation import compiled
from deepdft.kernels.angular.angular_sums import adjoint_angular_interval, sum_angular_interval
from deepdft.kernels.angular.by_degree import by_degree
from deepdft.kernels.simd.vectors import PANEL, address

_sum = by_degree(sum_angular_interval)
_add_adjoint = by_degree(adjoint_angular_interval)


@compiled
def sum_angular_messages(
    table: Any, senders: Any, atoms: Any, receivers: Any, weights: Any, harmonics: Any,
    starts: Any, channels: Any, width: int, sender_width: int, out: Any,
) -> None:  # fmt: skip
    """Add messages to `out`, (receivers * width,).

    Args:
        table: (knots * 3 * width,) entries.
        senders: (atoms * sender_width,).
        atoms, receivers, weights, harmonics, starts: as of
            `deepdft.kernels.edges.block_edges.BlockEdges`; weights and harmonics may be longer than
            there are edges.
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
                _sum(
                    momentum, address(table, 3 * k * width + channel + panel), width,
                    address(senders, sent + panel), sender_width, count, address(atoms, 0),
                    address(out, channel + panel), address(receivers, 0), address(weights, 0),
                    address(harmonics, momentum * momentum * stride), stride, first, last,
                )  # fmt: skip
        channel += count
        sent += (2 * momentum + 1) * count


@compiled
def add_angular_adjoint(
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
                _add_adjoint(
                    momentum, address(table, place), width, address(senders, sent + panel),
                    sender_width, count, address(atoms, 0), address(gradient, channel + panel),
                    address(receivers, 0), address(weights, 0),
                    address(harmonics, momentum * momentum * stride), stride, first, last,
                    address(table_gradient, place), address(sender_gradient, sent + panel),
                )  # fmt: skip
        channel += count
        sent += (2 * momentum + 1) * count
