"""Grid points and the atoms near them, on a GPU.

Probes come in groups of a few neighbouring points (or of one point each, where points are on their
own), groups in blocks that share a list of candidate atoms. Two passes of one kernel compare each
group with its block's candidates: the first counts the pairs of group and atom, the second lists
them, with what the sums of `deepdft.kernels.triton.sums` need to know of the distances. Distances
are computed in float64 and without fused multiply-adds, so that exactly the edges of the CPU's
search are found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor

from deepdft.kernels.triton.piecewise import PiecewiseTable
from deepdft.kernels.triton.transfers import HostCopy, upload

_GROUPS = 32
_ATOMS = 16

OUT_OF_REACH = 2.0
"""Place in the piece, otherwise from -1 to 1, of a probe that the atom does not reach."""


class Candidates(NamedTuple):
    """Image atoms near each block.

    Attributes:
        starts: (blocks + 1,) int64; those of block b are starts[b]:starts[b + 1].
        atoms: (m,) int32 atom that each image belongs to.
        positions: (m, 3) float64 Å.
    """

    starts: Tensor
    atoms: Tensor
    positions: Tensor


class Groups(NamedTuple):
    """Probes in groups.

    Attributes:
        starts: (blocks + 1,) int64; the groups of block b are starts[b]:starts[b + 1].
        points: (groups, size, 3) float64 Å.
        places: (groups, size) int64 where the probe's density belongs; the length of the result
            for points that were not asked for.
        largest_block: groups in the largest block.
    """

    starts: Tensor
    points: Tensor
    places: Tensor
    largest_block: int


class Pairs(NamedTuple):
    """Pairs of a group of probes and an atom that reaches at least one of them.

    Attributes:
        active: (n,) int64 groups that have any pairs.
        offsets: (groups + 1,) int64; the pairs of group g are offsets[g]:offsets[g + 1].
        atoms: (pairs,) int32.
        codes: (pairs,) int32: twice the piece of the table, plus one if some probe of the group is
            out of reach.
        offsets_in_piece: (pairs, size) float32, from -1 to 1, or `OUT_OF_REACH`.
    """

    active: Tensor
    offsets: Tensor
    atoms: Tensor
    codes: Tensor
    offsets_in_piece: Tensor


def grid_groups(
    first: Tensor, last: Tensor, counts: Sequence[int], geometry: Tensor,
    box: tuple[Sequence[int], Sequence[int]], group: tuple[int, int, int],
) -> Groups:  # fmt: skip
    """Make the groups of blocks of a grid.

    Args:
        first: (blocks, 3) int64 first index of each block, a multiple of the group's shape.
        last: (blocks, 3) int64 last index + 1.
        counts: number of groups of each block.
        geometry: (15,) float64: the grid's origin, cell vectors (rows) and number of points.
        box: first index and last index + 1 of what is asked for; the result has its points in
            order, the last axis fastest.
        group: points of a group along each axis.
    """
    (a, b, c), (d, e, f) = box
    device = first.device
    offsets = np.concatenate(([0], np.cumsum(counts)))
    total, size = int(offsets[-1]), group[0] * group[1] * group[2]
    starts = upload(offsets, device)
    points = torch.empty((total, size, 3), dtype=torch.float64, device=device)
    places = torch.empty((total, size), dtype=torch.int64, device=device)
    largest = max(counts)
    _grid_kernel[(len(counts), triton.cdiv(largest, 128))](
        first, last, starts, geometry, points, places, a, b, c, d, e, f, *group, 128,
        num_warps=4, enable_fp_fusion=False,
    )  # fmt: skip
    return Groups(starts, points, places, largest)


class CountedPairs:
    """The pairs of groups and atoms, counted but not yet listed.

    They are counted in one call and listed in another, because the CPU has to know their number in
    between: meanwhile it can prepare what comes next.

    Args:
        groups: the probes.
        candidates: image atoms near each block.
        table: pieces of the filters; its width must exceed the extent of a group by a step.
        cutoff: reach of an atom, Å.
    """

    def __init__(
        self, groups: Groups, candidates: Candidates, table: PiecewiseTable, cutoff: float
    ) -> None:
        self.groups = groups
        self._candidates = candidates
        device = groups.points.device
        last = float(table.coefficients.shape[0] - 1)
        numbers = np.array([cutoff * cutoff, table.step, last, 2.0 / table.width])
        self._numbers = upload(numbers, device)
        n_groups = len(groups.points)
        counts = torch.zeros(n_groups + 1, dtype=torch.int64, device=device)
        nothing = torch.empty(0, dtype=torch.int32, device=device)
        self._launch(counts, Pairs(nothing, counts, nothing, nothing, nothing.float()), True)
        self._offsets = torch.cumsum(counts, 0)
        reached = counts[1:] > 0
        rank = torch.cumsum(reached, 0)
        # Groups without pairs all go to the last place.
        place = torch.where(reached, rank - 1, n_groups)
        self._active = torch.empty(n_groups + 1, dtype=torch.int64, device=device)
        self._active.scatter_(0, place, torch.arange(n_groups, device=device))
        self._totals = HostCopy(torch.stack((self._offsets[-1], rank[-1])))

    def listed(self) -> Pairs:
        """List the pairs."""
        total, n_active = self._totals.wait().tolist()
        device, size = self.groups.points.device, self.groups.points.shape[1]
        pairs = Pairs(
            self._active[:n_active],
            self._offsets,
            torch.empty(total, dtype=torch.int32, device=device),
            torch.empty(total, dtype=torch.int32, device=device),
            torch.empty((total, size), dtype=torch.float32, device=device),
        )
        if total:
            self._launch(self._offsets, pairs, False)
        return pairs

    def _launch(self, offsets: Tensor, pairs: Pairs, counting: bool) -> None:
        groups, candidates = self.groups, self._candidates
        grid = (len(groups.starts) - 1, triton.cdiv(groups.largest_block, _GROUPS))
        _pair_kernel[grid](
            groups.points, groups.starts, candidates.starts, candidates.atoms,
            candidates.positions, self._numbers, offsets, pairs.atoms, pairs.codes,
            pairs.offsets_in_piece, groups.points.shape[1], _GROUPS, _ATOMS, counting,
            num_warps=4, enable_fp_fusion=False,
        )  # fmt: skip


@triton.jit(do_not_specialize=["a", "b", "c", "d", "e", "f"])
def _grid_kernel(
    first, last, starts, geometry, points, places, a, b, c, d, e, f,
    X: tl.constexpr, Y: tl.constexpr, Z: tl.constexpr, GROUPS: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    begin = tl.load(starts + block)
    number = tl.program_id(1) * GROUPS + tl.arange(0, GROUPS)
    inside = number < tl.load(starts + block + 1) - begin
    group = begin + number
    lowest_x = tl.load(first + 3 * block)
    lowest_y = tl.load(first + 3 * block + 1)
    lowest_z = tl.load(first + 3 * block + 2)
    count_y = tl.cdiv(tl.load(last + 3 * block + 1) - lowest_y, Y)
    count_z = tl.cdiv(tl.load(last + 3 * block + 2) - lowest_z, Z)
    corner_x = lowest_x + X * (number // (count_y * count_z))
    corner_y = lowest_y + Y * (number // count_z % count_y)
    corner_z = lowest_z + Z * (number % count_z)
    beyond = (d - a).to(tl.int64) * (e - b) * (f - c)
    for p in tl.static_range(X * Y * Z):
        i = corner_x + p // (Y * Z)
        j = corner_y + p // Z % Y
        k = corner_z + p % Z
        share_i = i.to(tl.float64) / tl.load(geometry + 12)
        share_j = j.to(tl.float64) / tl.load(geometry + 13)
        share_k = k.to(tl.float64) / tl.load(geometry + 14)
        place = points + (group * (X * Y * Z) + p) * 3
        for x in tl.static_range(3):
            # In the order of `deepdft.geometry.blocks.block_points`, for the same rounding.
            row = tl.load(geometry + x) + share_i * tl.load(geometry + 3 + x)
            row = row + share_j * tl.load(geometry + 6 + x)
            tl.store(place + x, row + share_k * tl.load(geometry + 9 + x), inside)
        wanted = (i >= a) & (i < d) & (j >= b) & (j < e) & (k >= c) & (k < f)
        index = ((i - a) * (e - b) + (j - b)) * (f - c) + (k - c)
        tl.store(places + group * (X * Y * Z) + p, tl.where(wanted, index, beyond), inside)


@triton.jit
def _pair_kernel(
    points, group_starts, candidate_starts, candidate_atoms, candidate_positions, numbers, offsets,
    pair_atoms, pair_codes, pair_places,
    SIZE: tl.constexpr, GROUPS: tl.constexpr, ATOMS: tl.constexpr, COUNTING: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    begin = tl.load(group_starts + block)
    number = tl.program_id(1) * GROUPS + tl.arange(0, GROUPS)
    exists = number < tl.load(group_starts + block + 1) - begin
    group = begin + number
    limit = tl.load(numbers)
    step = tl.load(numbers + 1)
    last_piece = tl.load(numbers + 2)
    scale = tl.load(numbers + 3)
    found = tl.zeros([GROUPS], tl.int64)
    if not COUNTING:
        found = tl.load(offsets + group, exists, other=0)
    point = points + group * (SIZE * 3)
    first = tl.load(candidate_starts + block)
    last = tl.load(candidate_starts + block + 1)
    for start in range(first, last, ATOMS):
        a = start + tl.arange(0, ATOMS)
        known = a < last
        x = tl.load(candidate_positions + 3 * a, known, other=float("inf"))
        y = tl.load(candidate_positions + 3 * a + 1, known, other=0.0)
        z = tl.load(candidate_positions + 3 * a + 2, known, other=0.0)
        smallest = tl.full([GROUPS, ATOMS], float("inf"), tl.float64)
        largest = tl.zeros([GROUPS, ATOMS], tl.float64)
        for p in tl.static_range(SIZE):
            square = _squared_distances(point + 3 * p, exists, x, y, z)
            smallest = tl.minimum(smallest, square)
            largest = tl.maximum(largest, square)
        near = exists[:, None] & (smallest < limit)
        count = near.to(tl.int32)
        if not COUNTING:
            pair = found[:, None] + tl.cumsum(count, 1) - count
            atom = tl.load(candidate_atoms + a, known, other=0)
            tl.store(pair_atoms + pair, tl.broadcast_to(atom[None, :], [GROUPS, ATOMS]), near)
            piece = tl.minimum(tl.floor(tl.sqrt(smallest) / step), last_piece)
            partly = (largest >= limit).to(tl.int32)
            tl.store(pair_codes + pair, 2 * piece.to(tl.int32) + partly, near)
            for p in tl.static_range(SIZE):
                square = _squared_distances(point + 3 * p, exists, x, y, z)
                place = (tl.sqrt(square) - piece * step) * scale - 1.0
                place = tl.where(square < limit, place, 2.0).to(tl.float32)
                tl.store(pair_places + pair * SIZE + p, place, near)
        found += tl.sum(count, 1)
    if COUNTING:
        tl.store(offsets + 1 + group, found, exists)


@triton.jit
def _squared_distances(point, exists, x, y, z):
    """Squared distances of points (rows) to atoms (columns)."""
    dx = x[None, :] - tl.load(point, exists, other=0.0)[:, None]
    dy = y[None, :] - tl.load(point + 1, exists, other=0.0)[:, None]
    dz = z[None, :] - tl.load(point + 2, exists, other=0.0)[:, None]
    return dx * dx + dy * dy + dz * dz
