"""Messages to groups of neighbouring probes, summed on a GPU from pieces of polynomials.

One program, a single warp, sums the messages of all atoms to one group in one slice of the
channels. The coefficients of a pair of group and atom are loaded once for all probes of the group
and stay in registers while Horner's rule runs over probes and channels; the messages stay in
registers until all atoms have been added.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from deepdft.kernels.triton.pairs import Pairs
from deepdft.kernels.triton.piecewise import PiecewiseTable

LOW_SCALE = 2048.0
"""What the lower parts of numbers split into two of half precision are multiplied by."""


class Tiling(NamedTuple):
    """Sizes of a program.

    Attributes:
        channels: of a slice, a power of two.
        groups: that a program goes through.
    """

    channels: int
    groups: int


_TILINGS = {16: Tiling(16, 8), 32: Tiling(32, 4), 64: Tiling(64, 2)}
_WIDE = Tiling(128, 1)
"""By the padded number of channels. Four channels a thread leave registers for six warps on each
of a multiprocessor's schedulers; narrow slices take more groups, so that a program is worth its
launch."""


def padded_width(channels: int) -> int:
    """Return the width of rows of messages: a power of two up to 128, then multiples of 128."""
    if channels > _WIDE.channels:
        return int(triton.cdiv(channels, _WIDE.channels)) * _WIDE.channels
    return max(16, int(triton.next_power_of_2(channels)))


class SlicedFilters(NamedTuple):
    """Filters and senders with their channels cut into slices, each slice in one piece of memory.

    Attributes:
        table: (slices, pieces, n, channels of a slice) float32 coefficients.
        senders: (slices, atoms, channels of a slice) float32.
        steps: number of interaction steps.
        channels: of a step.
        width: the same, padded.
    """

    table: Tensor
    senders: Tensor
    steps: int
    channels: int
    width: int


def sliced_table(table: PiecewiseTable) -> Tensor:
    """Return the coefficients as `SlicedFilters.table`."""
    pieces, count, steps, channels = table.coefficients.shape
    width = padded_width(channels)
    size = _tiling(width).channels
    padded = torch.nn.functional.pad(table.coefficients.float(), (0, width - channels))
    slices = padded.reshape(pieces, count, steps * width // size, size)
    return slices.permute(2, 0, 1, 3).contiguous()


def sliced_senders(senders: Tensor) -> Tensor:
    """Return senders (steps, atoms, channels) as `SlicedFilters.senders`."""
    steps, atoms, channels = senders.shape
    width = padded_width(channels)
    size = _tiling(width).channels
    padded = torch.nn.functional.pad(senders.float(), (0, width - channels))
    slices = padded.reshape(steps, atoms, width // size, size)
    return slices.permute(0, 2, 1, 3).reshape(-1, atoms, size).contiguous()


def summed_messages(pairs: Pairs, filters: SlicedFilters, halves: int, row_multiple: int) -> Tensor:
    """Sum the messages to the active groups.

    Args:
        pairs: groups and the atoms that reach them.
        filters: filters and senders.
        halves: 0 for float32 messages; 1 for half precision; 2 for two numbers of half precision,
            the second being what the first leaves of the message, times `LOW_SCALE`.
        row_multiple: the number of rows is rounded up to a multiple of this; what is in the rows
            after the last group's is undefined.

    Returns:
        (steps, rows, width) float32, or (steps, halves, rows, width) float16. Row r belongs to
        probe r % size of the active group r // size.
    """
    n_active, size = len(pairs.active), pairs.offsets_in_piece.shape[1]
    rows = triton.cdiv(n_active * size, row_multiple) * row_multiple
    shape = (filters.steps, halves, rows, filters.width) if halves else (
        filters.steps, rows, filters.width
    )  # fmt: skip
    kind = torch.float16 if halves else torch.float32
    out = torch.empty(shape, dtype=kind, device=pairs.offsets.device)
    if n_active == 0:
        return out
    slices, pieces, count, channels = filters.table.shape
    groups = _tiling(filters.width).groups
    _sum_kernel[(triton.cdiv(n_active, groups), slices)](
        pairs.active, pairs.offsets, pairs.atoms, pairs.codes, pairs.offsets_in_piece,
        filters.table, filters.senders, out, n_active, filters.senders.shape[1], rows, pieces,
        filters.width // channels, size, count, channels, groups, halves,
        num_warps=1, enable_fp_fusion=True,
    )  # fmt: skip
    return out


def _tiling(width: int) -> Tiling:
    return _TILINGS.get(width, _WIDE)


@triton.jit(do_not_specialize=["n_active", "n_atoms", "pieces", "slices_of_step"])
def _sum_kernel(
    active, offsets, atoms, codes, places, table, senders, out, n_active, n_atoms, rows, pieces,
    slices_of_step, SIZE: tl.constexpr, COUNT: tl.constexpr, CHANNELS: tl.constexpr,
    GROUPS: tl.constexpr, HALVES: tl.constexpr,
):  # fmt: skip
    # Groups before slices: at any time all programs read the same slice of the table, which fits
    # the first-level cache.
    part = tl.program_id(1)
    # Said to be scattered, or each thread would load neighbouring channels, and every load would
    # be followed by an exchange between the threads.
    c = tl.max_contiguous(tl.arange(0, CHANNELS), 1)
    probe = tl.arange(0, SIZE)
    table += part.to(tl.int64) * pieces * (COUNT * CHANNELS)
    senders += part.to(tl.int64) * n_atoms * CHANNELS
    width = slices_of_step * CHANNELS
    plane = rows.to(tl.int64) * width
    out += (part // slices_of_step) * plane * max(HALVES, 1) + part % slices_of_step * CHANNELS
    for number in range(GROUPS):
        index = tl.program_id(0) * GROUPS + number
        exists = index < n_active
        group = tl.load(active + index, exists, other=0)
        first = tl.load(offsets + group)
        last = tl.load(offsets + group + 1)
        total = tl.zeros([SIZE, CHANNELS], tl.float32)
        if exists:
            for pair in range(first, last):
                code = tl.load(codes + pair)
                sender = tl.load(senders + tl.load(atoms + pair).to(tl.int64) * CHANNELS + c)
                place = tl.load(places + pair * SIZE + probe)[:, None]
                row = table + (code // 2) * (COUNT * CHANNELS) + c
                value = tl.broadcast_to(
                    tl.load(row + (COUNT - 1) * CHANNELS)[None, :], [SIZE, CHANNELS]
                )
                for power in tl.static_range(COUNT - 2, -1, -1):
                    value = value * place + tl.load(row + power * CHANNELS)[None, :]
                if code % 2 == 1:
                    value = tl.where(place < 1.5, value, 0.0)
                total += value * sender[None, :]
            to = out + (index.to(tl.int64) * SIZE + probe[:, None]) * width + c[None, :]
            if HALVES == 0:
                tl.store(to, total)
            else:
                high = total.to(tl.float16)
                tl.store(to, high)
                if HALVES == 2:
                    low = (total - high.to(tl.float32)) * 2048.0
                    tl.store(to + plane, low.to(tl.float16))
