"""What derivatives of the density with respect to a probe's position need of its edges.

The messages of a probe depend on its position through the distances d of its edges, whose
gradients are the edges' unit vectors. With tabulated filters everything follows from two sums: over
edges, with the filters' slopes and a weight for each edge; and over steps and channels, for each
edge.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.autograd.cpu_messages import array_of
from deepdft.kernels.autograd.messages import direct_messages
from deepdft.kernels.autograd.tables import RadialTable, interpolate


def slope_messages(
    table: RadialTable, senders: Tensor, edges: Edges, factors: Tensor
) -> list[Tensor]:
    """Sum ``factor * senders * filters'(distance)`` over the edges of each receiver.

    Args:
        table: filters of all steps.
        senders: (steps, atoms, channels), of the table's dtype.
        edges: from atoms to receivers.
        factors: (k, edges).

    Returns:
        k times (steps, receivers, channels); not differentiable.
    """
    if table.entries.device.type == "cpu":
        from deepdft.kernels.edges import cpu

        found = cpu.slope_messages(
            array_of(table.entries), table.spacing, array_of(senders), array_of(edges.distances),
            array_of(edges.senders), array_of(edges.offsets), array_of(factors),
        )  # fmt: skip
        return list(torch.from_numpy(found))
    slopes = interpolate(table, edges.distances, 1)
    return [direct_messages(slopes * factor[:, None], senders, edges) for factor in factors]


def contracted(
    table: RadialTable, senders: Tensor, edges: Edges, factors: Tensor, derivative: int
) -> Tensor:
    """Sum ``factors * senders * filters`` over steps and channels, for every edge.

    Args:
        table: filters of all steps.
        senders: (steps, atoms, channels), of the table's dtype.
        edges: from atoms to receivers.
        factors: (steps, receivers, channels).
        derivative: order of the derivative of the filters by distance, 0 to 2.

    Returns:
        (edges,); not differentiable.
    """
    if table.entries.device.type == "cpu":
        from deepdft.kernels.edges import cpu

        found = cpu.contracted(
            array_of(table.entries), table.spacing, array_of(senders), array_of(edges.distances),
            array_of(edges.senders), array_of(edges.offsets), array_of(factors), derivative,
        )  # fmt: skip
        return torch.from_numpy(found)
    filters = interpolate(table, edges.distances, derivative)
    products = filters * senders[:, edges.senders.long()] * factors[:, edges.receivers]
    return products.sum(dim=(0, 2))
