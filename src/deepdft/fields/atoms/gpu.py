"""Superposed atomic densities at blocks of points on a GPU, in float64."""

from __future__ import annotations

import numpy as np
import torch
import triton
import triton.language as tl
from ase import Atoms
from torch import Tensor

from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.kernels.triton.pairs import Candidates, Groups

_POINTS = 128


class DeviceSuperposition:
    """The superposition of one structure's atoms, block by block.

    Args:
        tables: spherical densities of the elements.
        atoms: the structure.
        device: where the points are.

    Raises:
        UnsupportedStructureError: if an element has no table.
    """

    def __init__(self, tables: AtomicDensityTables, atoms: Atoms, device: torch.device) -> None:
        polynomials = tables._polynomials
        species = tables._species(atoms.numbers).astype(np.int32)
        self.cutoff = tables.cutoff
        self._intervals = polynomials.shape[1]
        self._species = torch.from_numpy(species).to(device)
        self._polynomials = torch.from_numpy(polynomials).to(device)
        self._numbers = torch.tensor(
            [tables.spacing, (tables.spacing * self._intervals) ** 2], dtype=torch.float64
        ).to(device)

    def add_to(self, result: Tensor, groups: Groups, candidates: Candidates) -> None:
        """Add the density of image atoms.

        Args:
            result: (n,) float64 e/Å^3, changed in place at `groups.places`; the last place may
                be used by several points and is left undefined.
            groups: the points.
            candidates: image atoms near each block, all within `cutoff` of its points.
        """
        size = groups.points.shape[1]
        grid = (len(groups.starts) - 1, triton.cdiv(groups.largest_block * size, _POINTS))
        _superposition_kernel[grid](
            groups.points, groups.places, groups.starts, candidates.starts, candidates.atoms,
            candidates.positions, self._species, self._polynomials, self._numbers, result,
            self._intervals, size, _POINTS, num_warps=4, enable_fp_fusion=True,
        )  # fmt: skip


@triton.jit(do_not_specialize=["intervals"])
def _superposition_kernel(
    points, places, group_starts, candidate_starts, candidate_atoms, candidate_positions, species,
    polynomials, numbers, result, intervals, SIZE: tl.constexpr, POINTS: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    begin = tl.load(group_starts + block) * SIZE
    number = tl.program_id(1) * POINTS + tl.arange(0, POINTS)
    exists = number < tl.load(group_starts + block + 1) * SIZE - begin
    point = begin + number
    x = tl.load(points + 3 * point, exists, other=0.0)
    y = tl.load(points + 3 * point + 1, exists, other=0.0)
    z = tl.load(points + 3 * point + 2, exists, other=0.0)
    spacing = tl.load(numbers)
    limit = tl.load(numbers + 1)
    total = tl.zeros([POINTS], tl.float64)
    for a in range(tl.load(candidate_starts + block), tl.load(candidate_starts + block + 1)):
        dx = tl.load(candidate_positions + 3 * a) - x
        dy = tl.load(candidate_positions + 3 * a + 1) - y
        dz = tl.load(candidate_positions + 3 * a + 2) - z
        square = dx * dx + dy * dy + dz * dz
        near = exists & (square < limit)
        scaled = tl.sqrt(square) / spacing
        interval = tl.minimum(tl.floor(scaled).to(tl.int32), intervals - 1)
        t = scaled - interval.to(tl.float64)
        table = tl.load(species + tl.load(candidate_atoms + a)) * intervals
        row = polynomials + 6 * (table + interval)
        value = tl.load(row + 5, near, other=0.0)
        for power in tl.static_range(4, -1, -1):
            value = value * t + tl.load(row + power, near, other=0.0)
        total += value
    place = tl.load(places + point, exists, other=0)
    tl.store(result + place, tl.load(result + place, exists, other=0.0) + total, exists)
