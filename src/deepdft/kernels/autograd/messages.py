"""The one operation of the probe engine: messages summed over edges.

``messages[t, p] = sum over edges e of p of senders[t, sender(e)] * filters[t](distance(e))``

for all interaction steps t at once. `filtered_messages` evaluates it from a table of the filters
with the fastest kernel for the device; `direct_messages` takes filters evaluated at every edge and
is the plain reference.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.autograd.adjoint import differentiable_adjoint
from deepdft.kernels.autograd.tables import RadialTable, interpolate
from deepdft.kernels.triton.support import launching_on, triton_serves


def direct_messages(filters: Tensor, senders: Tensor, edges: Edges) -> Tensor:
    """Sum messages from filters that are already evaluated on every edge.

    Args:
        filters: (steps, edges, channels).
        senders: (steps, atoms, channels).
        edges: from atoms to receivers.

    Returns:
        (steps, receivers, channels).
    """
    products = senders[:, edges.senders.long()] * filters
    empty = products.new_zeros((products.shape[0], edges.n_receivers, products.shape[2]))
    return empty.index_add(1, edges.receivers, products)


def filtered_messages(table: RadialTable, senders: Tensor, edges: Edges) -> Tensor:
    """Sum messages with tabulated filters; the signature of all kernels.

    Differentiable with respect to the table, the senders and the distances, twice.

    Args:
        table: filters of all steps.
        senders: (steps, atoms, channels), of the table's dtype.
        edges: from atoms to receivers.

    Returns:
        (steps, receivers, channels).
    """
    result: Tensor = _FilteredMessages.apply(
        table.entries, senders, edges.distances, edges, table.spacing
    )  # type: ignore[no-untyped-call]
    return result


def interpolated_messages(table: RadialTable, senders: Tensor, edges: Edges) -> Tensor:
    """Do what `filtered_messages` does, as plain torch operations (any device, any derivative)."""
    return direct_messages(interpolate(table, edges.distances), senders, edges)


class _FilteredMessages(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, entries: Tensor, senders: Tensor, distances: Tensor, edges: Edges, spacing: float
    ) -> Tensor:
        ctx.save_for_backward(entries, senders, distances)
        ctx.edges, ctx.spacing = edges, spacing
        form = _compiled_form(entries.device)
        if form is not None:
            with launching_on(entries.device):
                result: Tensor = form.forward(entries, spacing, senders, distances, edges)
            return result
        return interpolated_messages(
            RadialTable(entries, spacing), senders, edges.with_distances(distances)
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        entries, senders, distances = ctx.saved_tensors
        form = _compiled_form(entries.device)
        # With grad mode on, the caller will differentiate again (create_graph): build the adjoint
        # from differentiable operations. It is rare, so the plain form is fast enough.
        if torch.is_grad_enabled() or form is None:

            def plain(entries: Tensor, senders: Tensor, distances: Tensor) -> Tensor:
                table = RadialTable(entries, ctx.spacing)
                return interpolated_messages(table, senders, ctx.edges.with_distances(distances))

            needed = ctx.needs_input_grad[:3]
            found = differentiable_adjoint(plain, ctx.saved_tensors, needed, gradient)
            return (*found, None, None)
        with launching_on(entries.device):
            for_table, for_senders, slopes = form.backward(
                entries, ctx.spacing, senders, distances, ctx.edges, gradient,
                with_distances=ctx.needs_input_grad[2],
            )  # fmt: skip
        return for_table, for_senders, None if slopes is None else slopes.to(distances), None, None


def _compiled_form(device: torch.device) -> Any:
    """Return the module with compiled `forward` and `backward` for a device, or None."""
    if triton_serves(device):
        from deepdft.kernels.triton import messages as triton_messages

        return triton_messages
    if device.type == "cpu":
        from deepdft.kernels.autograd import cpu_messages

        return cpu_messages
    return None
