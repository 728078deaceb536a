"""Messages with angular parts: fields at probes, expanded around the atoms.

``messages[p, c] = sum over edges e of p of f_c(d_e) sum over m of S_m[sender(e), c] Y_lm(v_e)``

with filters f_c of distance from a table, softened spherical harmonics Y_lm of the edge's vector
(`deepdft.kernels.angular.harmonics`), and one angular momentum l for each channel c. With l = 0
alone it is the operation of `deepdft.kernels.edges.messages`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.angular.harmonics import LARGEST_MOMENTUM, soft_harmonics
from deepdft.kernels.edges.adjoint import differentiable_adjoint
from deepdft.kernels.radial.tables import RadialTable, interpolate


@dataclass(frozen=True)
class AngularLayout:
    """How many channels each angular momentum has, and where they are.

    Channels of messages and tables are ordered by l. A sender's row holds, for each l, its
    2 l + 1 components one after the other, each with the channels of that l.

    Attributes:
        channels: number of channels of l = 0, 1, ...
        softness: length that softens the directions, Å.
    """

    channels: tuple[int, ...]
    softness: float

    @property
    def largest(self) -> int:
        """The largest angular momentum."""
        return len(self.channels) - 1

    @property
    def width(self) -> int:
        """Number of channels of messages and tables."""
        return sum(self.channels)

    @property
    def sender_width(self) -> int:
        """Numbers that an atom sends."""
        return sum((2 * momentum + 1) * count for momentum, count in enumerate(self.channels))

    @property
    def message_starts(self) -> tuple[int, ...]:
        """First channel of each l, and the end."""
        return (0, *accumulate(self.channels))

    @property
    def sender_starts(self) -> tuple[int, ...]:
        """First number of each l in a sender's row, and the end."""
        sizes = ((2 * momentum + 1) * count for momentum, count in enumerate(self.channels))
        return (0, *accumulate(sizes))


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
    from deepdft.kernels.simd.vectors import PANEL

    panels = all(count % PANEL == 0 for count in layout.channels)
    return panels and layout.largest <= LARGEST_MOMENTUM


class _AngularMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, entries: Tensor, senders: Tensor, distances: Tensor, vectors: Tensor,
        edges: Edges, spacing: float, layout: AngularLayout,
    ) -> Tensor:  # fmt: skip
        from deepdft.kernels.angular import angular_cpu

        ctx.save_for_backward(entries, senders, distances, vectors)
        ctx.edges, ctx.spacing, ctx.layout = edges, spacing, layout
        ctx.sorted = angular_cpu.sort_edges(edges, spacing, entries.shape[1], layout)
        return angular_cpu.forward(entries, senders, ctx.sorted, layout)

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
        from deepdft.kernels.angular import angular_cpu

        entries, senders = ctx.saved_tensors[:2]
        found = angular_cpu.backward(entries, senders, ctx.sorted, ctx.layout, gradient)
        return (*found, None, None, None, None, None)
