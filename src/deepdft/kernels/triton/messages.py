"""Messages summed over listed edges, and their adjoint, on a GPU: for training.

The same operation as `deepdft.kernels.edges.cpu`, for any floating type and number of channels. No
sum is made by atomic additions: the adjoint sorts the edges, by interval of the table for the
gradient of its knots and by sender for that of the senders, and gives the same bits every time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from deepdft.geometry.graphs import Edges

_EDGES = 8
"""Edges that a program of the adjoint takes at once, so that loads do not wait for each other."""

_SPLITS = 4
"""Programs that share the edges of an interval or of a sender."""

_WARPS = {16: 1, 32: 1, 64: 2, 128: 4}
"""Warps of a program of the adjoint, by channels."""


def forward(
    entries: Tensor, spacing: float, senders: Tensor, distances: Tensor, edges: Edges
) -> Tensor:
    """Messages of all steps from tabulated filters.

    Args:
        entries: (steps, knots, 3, channels) of a `RadialTable`.
        spacing: distance between knots, Å.
        senders: (steps, atoms, channels).
        distances: (edges,) Å.
        edges: from atoms to receivers; their own distances are not looked at.

    Returns:
        (steps, receivers, channels), of the table's type.
    """
    entries, senders = entries.contiguous(), senders.contiguous()
    steps, knots, _, channels = entries.shape
    out = torch.empty(
        (steps, edges.n_receivers, channels), dtype=entries.dtype, device=entries.device
    )
    if out.numel() == 0:
        return out
    left, weights = _edge_weights(distances, spacing, knots, entries.dtype, slopes=False)
    width = _width(channels)
    grid = (edges.n_receivers, triton.cdiv(channels, width), steps)
    _forward_kernel[grid](
        entries, senders, edges.senders, edges.offsets, left, weights, out, knots,
        senders.shape[1], edges.n_receivers, channels, width, num_warps=1, enable_fp_fusion=True,
    )  # fmt: skip
    return out


def backward(
    entries: Tensor, spacing: float, senders: Tensor, distances: Tensor, edges: Edges,
    gradient: Tensor, *, with_distances: bool,
) -> tuple[Tensor, Tensor, Tensor | None]:  # fmt: skip
    """Adjoint of `forward`: gradients to the table, the senders and, if asked, the distances."""
    entries, senders = entries.contiguous(), senders.contiguous()
    gradient = gradient.contiguous()
    steps, knots, _, channels = entries.shape
    n_atoms, n_edges = senders.shape[1], distances.shape[0]
    width = _width(channels)
    blocks, warps = triton.cdiv(channels, width), _WARPS[width]
    left, weights = _edge_weights(distances, spacing, knots, entries.dtype, slopes=False)

    order, starts = _sorted(left, knots - 1)
    rows = entries.new_empty((_SPLITS, steps, knots - 1, 6, channels))
    _table_kernel[(knots - 1, blocks * _SPLITS, steps)](
        senders, gradient, edges.senders, edges.receivers, order, starts, weights, rows, knots,
        n_atoms, edges.n_receivers, channels, width, _EDGES, _SPLITS,
        num_warps=warps, enable_fp_fusion=True,
    )  # fmt: skip
    total = rows.sum(dim=0)
    table_gradient = torch.zeros_like(entries)
    table_gradient[:, :-1] += total[:, :, :3]
    table_gradient[:, 1:] += total[:, :, 3:]

    order, starts = _sorted(edges.senders, n_atoms)
    parts = senders.new_empty((_SPLITS, steps, n_atoms, channels))
    if parts.numel():
        _sender_kernel[(n_atoms, blocks * _SPLITS, steps)](
            entries, gradient, edges.receivers, order, starts, left, weights, parts, knots,
            n_atoms, edges.n_receivers, channels, width, _EDGES, _SPLITS,
            num_warps=warps, enable_fp_fusion=True,
        )  # fmt: skip
    sender_gradient = parts.sum(dim=0)
    if not with_distances:
        return table_gradient, sender_gradient, None

    distance_gradient = entries.new_empty(n_edges)
    if n_edges:
        _, slopes = _edge_weights(distances, spacing, knots, entries.dtype, slopes=True)
        _distance_kernel[(triton.cdiv(n_edges, _EDGES),)](
            entries, senders, gradient, edges.senders, edges.receivers, left, slopes,
            distance_gradient, n_edges, knots, n_atoms, edges.n_receivers, channels, steps, width,
            _EDGES, num_warps=warps, enable_fp_fusion=True,
        )  # fmt: skip
    return table_gradient, sender_gradient, distance_gradient


def _width(channels: int) -> int:
    return min(128, max(16, int(triton.next_power_of_2(channels))))


def _sorted(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the stable order of edges by key, and where each key begins, (count + 1,)."""
    values, order = torch.sort(keys, stable=True)
    boundaries = torch.arange(count + 1, dtype=keys.dtype, device=keys.device)
    return order, torch.searchsorted(values, boundaries)


def _edge_weights(
    distances: Tensor, spacing: float, knots: int, dtype: torch.dtype, *, slopes: bool
) -> tuple[Tensor, Tensor]:
    """Return left knots (edges,) int32 and Hermite weights, or their slopes, (edges, 6)."""
    n_edges, device = distances.shape[0], distances.device
    left = torch.empty(n_edges, dtype=torch.int32, device=device)
    weights = torch.empty((n_edges, 6), dtype=dtype, device=device)
    if n_edges:
        # As a tensor: a number would be passed in single precision.
        step = torch.full((1,), spacing, dtype=torch.float64, device=device)
        _weight_kernel[(triton.cdiv(n_edges, 128),)](
            distances.contiguous(), step, left, weights, n_edges, knots, 128, slopes,
            num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip
    return left, weights


@triton.jit(do_not_specialize=["n_edges", "knots"])
def _weight_kernel(
    distances, spacing, left, weights, n_edges, knots, EDGES: tl.constexpr, SLOPES: tl.constexpr
):
    e = tl.program_id(0) * EDGES + tl.arange(0, EDGES)
    exists = e < n_edges
    step = tl.load(spacing)
    scaled = tl.load(distances + e, exists, other=0.0).to(tl.float64) / step
    knot = tl.minimum(tl.floor(scaled).to(tl.int32), knots - 2)
    tl.store(left + e, knot, exists)
    u = scaled - knot.to(tl.float64)
    to = weights + 6 * e
    if SLOPES:
        square = u * u
        sides = square * (30.0 + u * (-60.0 + u * 30.0)) / step
        tl.store(to, -sides, exists)
        tl.store(to + 1, (1.0 + square * (-18.0 + u * (32.0 - u * 15.0))) / step, exists)
        tl.store(to + 2, u * (1.0 + u * (-4.5 + u * (6.0 - u * 2.5))) / step, exists)
        tl.store(to + 3, sides, exists)
        tl.store(to + 4, square * (-12.0 + u * (28.0 - u * 15.0)) / step, exists)
        tl.store(to + 5, square * (1.5 + u * (-4.0 + u * 2.5)) / step, exists)
    else:
        cube = u * u * u
        right = cube * (10.0 + u * (-15.0 + u * 6.0))
        tl.store(to, 1.0 - right, exists)
        tl.store(to + 1, u + cube * (-6.0 + u * (8.0 - u * 3.0)), exists)
        tl.store(to + 2, 0.5 * u * u + cube * (-1.5 + u * (1.5 - u * 0.5)), exists)
        tl.store(to + 3, right, exists)
        tl.store(to + 4, cube * (-4.0 + u * (7.0 - u * 3.0)), exists)
        tl.store(to + 5, cube * (0.5 + u * (-1.0 + u * 0.5)), exists)


@triton.jit(do_not_specialize=["knots", "n_atoms", "n_receivers"])
def _forward_kernel(
    entries, senders, atoms, offsets, left, weights, out, knots, n_atoms, n_receivers,
    channels, WIDTH: tl.constexpr,
):  # fmt: skip
    receiver = tl.program_id(0)
    step = tl.program_id(2).to(tl.int64)
    # Scattered on purpose; see `deepdft.kernels.triton.sums`.
    c = tl.program_id(1) * WIDTH + tl.max_contiguous(tl.arange(0, WIDTH), 1)
    inside = c < channels
    entries += step * knots * 3 * channels + c
    senders += step * n_atoms * channels + c
    total = tl.zeros([WIDTH], out.dtype.element_ty)
    for e in range(tl.load(offsets + receiver), tl.load(offsets + receiver + 1)):
        row = entries + tl.load(left + e).to(tl.int64) * 3 * channels
        value = tl.load(weights + 6 * e) * tl.load(row, inside, other=0.0)
        for r in tl.static_range(1, 6):
            value += tl.load(weights + 6 * e + r) * tl.load(row + r * channels, inside, other=0.0)
        sender = senders + tl.load(atoms + e).to(tl.int64) * channels
        total += value * tl.load(sender, inside, other=0.0)
    tl.store(out + (step * n_receivers + receiver) * channels + c, total, inside)


@triton.jit(do_not_specialize=["knots", "n_atoms", "n_receivers"])
def _table_kernel(
    senders, gradient, atoms, receivers, order, starts, weights, rows, knots, n_atoms, n_receivers,
    channels, WIDTH: tl.constexpr, EDGES: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Sums over the edges of an interval; one of SPLITS parts of them."""
    interval = tl.program_id(0)
    split = tl.program_id(1) % SPLITS
    step = tl.program_id(2).to(tl.int64)
    c = (tl.program_id(1) // SPLITS) * WIDTH + tl.arange(0, WIDTH)
    inside = c < channels
    senders += step * n_atoms * channels + c[None, :]
    gradient += step * n_receivers * channels + c[None, :]
    total_0 = tl.zeros([EDGES, WIDTH], rows.dtype.element_ty)
    total_1 = total_0
    total_2 = total_0
    total_3 = total_0
    total_4 = total_0
    total_5 = total_0
    last = tl.load(starts + interval + 1)
    for begin in range(tl.load(starts + interval) + split * EDGES, last, SPLITS * EDGES):
        number = begin + tl.arange(0, EDGES)
        exists = number < last
        e = tl.load(order + number, exists, other=0)
        known = exists[:, None] & inside[None, :]
        atom = tl.load(atoms + e, exists, other=0).to(tl.int64)[:, None]
        receiver = tl.load(receivers + e, exists, other=0)[:, None]
        product = tl.load(gradient + receiver * channels, known, other=0.0)
        product *= tl.load(senders + atom * channels, known, other=0.0)
        w = weights + 6 * e
        total_0 += tl.load(w, exists, other=0.0)[:, None] * product
        total_1 += tl.load(w + 1, exists, other=0.0)[:, None] * product
        total_2 += tl.load(w + 2, exists, other=0.0)[:, None] * product
        total_3 += tl.load(w + 3, exists, other=0.0)[:, None] * product
        total_4 += tl.load(w + 4, exists, other=0.0)[:, None] * product
        total_5 += tl.load(w + 5, exists, other=0.0)[:, None] * product
    steps = tl.num_programs(2)
    rows += (((split * steps + step) * (knots - 1) + interval) * 6) * channels + c
    tl.store(rows, tl.sum(total_0, 0), inside)
    tl.store(rows + channels, tl.sum(total_1, 0), inside)
    tl.store(rows + 2 * channels, tl.sum(total_2, 0), inside)
    tl.store(rows + 3 * channels, tl.sum(total_3, 0), inside)
    tl.store(rows + 4 * channels, tl.sum(total_4, 0), inside)
    tl.store(rows + 5 * channels, tl.sum(total_5, 0), inside)


@triton.jit(do_not_specialize=["knots", "n_atoms", "n_receivers"])
def _sender_kernel(
    entries, gradient, receivers, order, starts, left, weights, parts, knots, n_atoms, n_receivers,
    channels, WIDTH: tl.constexpr, EDGES: tl.constexpr, SPLITS: tl.constexpr,
):  # fmt: skip
    """Sums over the edges of a sender; one of SPLITS parts of them."""
    atom = tl.program_id(0)
    split = tl.program_id(1) % SPLITS
    step = tl.program_id(2).to(tl.int64)
    c = (tl.program_id(1) // SPLITS) * WIDTH + tl.arange(0, WIDTH)
    inside = c < channels
    entries += step * knots * 3 * channels + c[None, :]
    gradient += step * n_receivers * channels + c[None, :]
    total = tl.zeros([EDGES, WIDTH], parts.dtype.element_ty)
    last = tl.load(starts + atom + 1)
    for begin in range(tl.load(starts + atom) + split * EDGES, last, SPLITS * EDGES):
        number = begin + tl.arange(0, EDGES)
        exists = number < last
        e = tl.load(order + number, exists, other=0)
        known = exists[:, None] & inside[None, :]
        filters = _filters(entries, left, weights, e, exists, known, channels)
        receiver = tl.load(receivers + e, exists, other=0)[:, None]
        total += filters * tl.load(gradient + receiver * channels, known, other=0.0)
    parts += ((split * tl.num_programs(2) + step) * n_atoms + atom) * channels + c
    tl.store(parts, tl.sum(total, 0), inside)


@triton.jit(do_not_specialize=["n_edges", "knots", "n_atoms", "n_receivers", "steps"])
def _distance_kernel(
    entries, senders, gradient, atoms, receivers, left, slopes, result, n_edges, knots, n_atoms,
    n_receivers, channels, steps, WIDTH: tl.constexpr, EDGES: tl.constexpr,
):  # fmt: skip
    e = tl.program_id(0) * EDGES + tl.arange(0, EDGES)
    exists = e < n_edges
    atom = tl.load(atoms + e, exists, other=0).to(tl.int64)[:, None]
    receiver = tl.load(receivers + e, exists, other=0)[:, None]
    total = tl.zeros([EDGES, WIDTH], result.dtype.element_ty)
    for _ in range(steps):
        for begin in range(0, channels, WIDTH):
            c = (begin + tl.arange(0, WIDTH))[None, :]
            known = exists[:, None] & (c < channels)
            value = _filters(entries + c, left, slopes, e, exists, known, channels)
            value *= tl.load(senders + atom * channels + c, known, other=0.0)
            total += value * tl.load(gradient + receiver * channels + c, known, other=0.0)
        entries += knots.to(tl.int64) * 3 * channels
        senders += n_atoms.to(tl.int64) * channels
        gradient += n_receivers.to(tl.int64) * channels
    tl.store(result + e, tl.sum(total, 1), exists)


@triton.jit
def _filters(entries, left, weights, e, exists, known, channels):
    """Filters, or their slopes, of edges (rows) at channels (columns)."""
    row = entries + tl.load(left + e, exists, other=0).to(tl.int64)[:, None] * 3 * channels
    w = weights + 6 * e
    value = tl.load(w, exists, other=0.0)[:, None] * tl.load(row, known, other=0.0)
    for r in tl.static_range(1, 6):
        weight = tl.load(w + r, exists, other=0.0)[:, None]
        value += weight * tl.load(row + r * channels, known, other=0.0)
    return value
