"""The CPU's kernels with tensors for arguments; signatures as of `triton_messages`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepdft.geometry.graphs import Edges
from deepdft.kernels.edges import cpu


def forward(
    entries: Tensor, spacing: float, senders: Tensor, distances: Tensor, edges: Edges
) -> Tensor:
    """Messages of all steps from tabulated filters; see `deepdft.kernels.edges.cpu.forward`."""
    result = cpu.forward(
        array_of(entries), spacing, array_of(senders), array_of(distances), array_of(edges.senders),
        array_of(edges.offsets),
    )  # fmt: skip
    return torch.from_numpy(result)


def backward(
    entries: Tensor, spacing: float, senders: Tensor, distances: Tensor, edges: Edges,
    gradient: Tensor, *, with_distances: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Adjoint of `forward`: gradients to the table, the senders and, if asked, the distances."""
    found = cpu.backward(
        array_of(entries), spacing, array_of(senders), array_of(distances), array_of(edges.senders),
        array_of(edges.offsets), array_of(gradient), with_distances=with_distances,
    )  # fmt: skip
    slopes = None if found[2] is None else torch.from_numpy(found[2])
    return torch.from_numpy(found[0]), torch.from_numpy(found[1]), slopes


def array_of(tensor: Tensor) -> Any:
    """Return a contiguous array that shares the memory of a tensor on the CPU."""
    return tensor.detach().contiguous().numpy()
