"""The probe engine on a GPU: everything of a block but its list of atoms is made there.

The CPU lists the image atoms near each block, some ten thousand probes, from the one cell list.
On the device the block's grid points are made, in groups of 2 x 2 x 2; the atoms in reach of each
group are found; messages of all steps are summed with the group's distances in registers; node
networks and superposed atoms follow. Blocks are worked off in batches that fill the device, and
results are copied back while the next part is computed.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.arrays import FloatArray, Index, IntegerArray
from deepdft.density import Grid
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.geometry.blocks import block_shape, grid_blocks, spatial_groups
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.kernels.triton.pairs import Groups, grid_groups
from deepdft.kernels.triton.piecewise import piecewise_table
from deepdft.kernels.triton.sums import (
    SlicedFilters,
    padded_width,
    sliced_senders,
    sliced_table,
)
from deepdft.kernels.triton.support import launching_on
from deepdft.kernels.triton.transfers import upload
from deepdft.prediction.device_batches import BatchEvaluator, Block, Filters, Part

PROBES_PER_BLOCK = 32768
"""Probes that share a list of candidate atoms."""

_PROBES_PER_PART = 1 << 24
"""Probes whose results are copied back at once."""

_EDGE = 2
"""Points of a group along each axis; a power of two."""

_SINGLE: Index = (1, 1, 1)


def suits_device(network: DensityModel) -> bool:
    """Return whether a network's density is a readout of summed messages, in float32."""
    return (
        network.architecture.sums_messages
        and next(network.parameters()).dtype == torch.float32
        and network.settings.filters != "direct"
    )


class DeviceEngine:
    """Evaluates a network for one structure on a GPU with Triton.

    Args:
        network: the network, on the device; see `suits_device`.
        senders: what the atoms send, (steps, atoms, channels), on the device.
        baseline: atomic densities below the network, or None.
        atoms: the structure.
        isolated: density of a probe with no atom in reach, without baseline, e/Å^3.
    """

    def __init__(
        self,
        network: DensityModel,
        senders: Tensor,
        baseline: AtomicDensityTables | None,
        atoms: Atoms,
        isolated: float = 0.0,
    ) -> None:
        self.network = network
        self.device = senders.device
        self._steps, _, self._channels = senders.shape
        self._senders = sliced_senders(senders)
        # In float64, because polynomials are fitted to its filters.
        self._exact = copy.deepcopy(network).double()
        self._filters: dict[tuple[float, Index], Filters | None] = {}
        self._evaluator = BatchEvaluator(network, self.device, baseline, atoms, isolated)

    @property
    def is_usable(self) -> bool:
        """Whether the filters can be tabulated; they cannot where they are not finite."""
        return self._filters_for(0.0, _SINGLE) is not None

    def at(self, points: FloatArray, search: NeighbourhoodSearch) -> FloatArray:
        """Return the density at points.

        Args:
            points: (n, 3) Å, at least one.
            search: finds the atoms in reach of network and baseline.

        Returns:
            (n,) e/Å^3.
        """
        filters = self._filters_for(0.0, _SINGLE)
        assert filters is not None
        blocks = [
            Block(points[chosen].min(axis=0), points[chosen].max(axis=0), len(chosen), chosen)
            for chosen in spatial_groups(points, PROBES_PER_BLOCK)
        ]

        def groups(batch: list[Block]) -> Groups:
            order = np.concatenate([block.content for block in batch])
            counts = [block.n_groups for block in batch]
            starts = np.concatenate(([0], np.cumsum(counts)))
            return Groups(
                upload(starts, self.device), upload(points[order][:, None], self.device),
                upload(order[:, None], self.device), max(counts),
            )  # fmt: skip

        def evaluate(in_torch: bool) -> tuple[Tensor, Tensor]:
            return self._evaluator.evaluate(
                blocks, len(points), groups, filters, search, in_torch=in_torch
            )

        result = np.empty(len(points))
        with torch.inference_mode(), launching_on(self.device):
            Part(evaluate).copy_into(result)
        return result

    def box(self, grid: Grid, start: Index, stop: Index, search: NeighbourhoodSearch) -> FloatArray:
        """Return the density on the index box start:stop of a grid, which must not be empty.

        Args:
            grid: the grid.
            start: first index along each axis.
            stop: last index + 1.
            search: finds the atoms in reach of network and baseline.

        Returns:
            (mx, my, mz) e/Å^3.
        """
        result = np.empty([high - low for low, high in zip(start, stop, strict=True)])
        waiting: tuple[Part, FloatArray] | None = None
        with torch.inference_mode(), launching_on(self.device):
            for first, last in _layers(start, stop):
                low, high = (first, start[1], start[2]), (last, stop[1], stop[2])
                part = Part(partial(self._grid_part, grid, low, high, search))
                if waiting is not None:
                    waiting[0].copy_into(waiting[1])
                waiting = part, result[first - start[0] : last - start[0]]
            assert waiting is not None
            waiting[0].copy_into(waiting[1])
        return result

    def _grid_part(
        self, grid: Grid, start: Index, stop: Index, search: NeighbourhoodSearch, in_torch: bool
    ) -> tuple[Tensor, Tensor]:
        group, filters = self._grid_filters(grid)
        blocks = _grid_blocks(grid, start, stop, group, search)
        geometry = np.concatenate((grid.origin, np.ravel(grid.cell), np.array(grid.shape)))

        def groups(batch: list[Block]) -> Groups:
            bounds = upload(np.stack([block.content for block in batch], axis=1), self.device)
            return grid_groups(
                bounds[0], bounds[1], [block.n_groups for block in batch],
                upload(geometry, self.device), (start, stop), group,
            )  # fmt: skip

        n_points = int(np.prod(np.array(stop) - np.array(start)))
        return self._evaluator.evaluate(
            blocks, n_points, groups, filters, search, in_torch=in_torch
        )

    def _grid_filters(self, grid: Grid) -> tuple[Index, Filters]:
        """Return the shape of a grid's groups, and filters for them."""
        a, b, c = (min(_EDGE, n) for n in grid.shape)
        for group in ((a, b, c), _SINGLE):
            filters = self._filters_for(_extent(grid, group), group)
            if filters is not None:
                return group, filters
        raise AssertionError("filters that cannot be tabulated are refused before")

    def _filters_for(self, extent: float, group: Index) -> Filters | None:
        """Return filters for groups of an extent in Å, if polynomials of few terms suffice."""
        key = extent, group
        if key not in self._filters:
            with torch.inference_mode():
                self._filters[key] = self._new_filters(extent, group)
        return self._filters[key]

    def _new_filters(self, extent: float, group: Index) -> Filters | None:
        table = piecewise_table(
            self._exact.probe_filters, self.network.cutoff, extent, device=self.device
        )
        if table is None:
            return None
        width = padded_width(self._channels)
        sliced = SlicedFilters(
            sliced_table(table), self._senders, self._steps, self._channels, width
        )
        return Filters(table, sliced, int(np.prod(group)))


def _grid_blocks(
    grid: Grid, start: Index, stop: Index, group: Index, search: NeighbourhoodSearch
) -> list[Block]:
    """Cut an index box into blocks of about equal size; leave out those no atom reaches."""
    size = np.array(group)
    # Groups begin at multiples of their shape, so that values do not depend on the box.
    first = np.array(start) // size * size
    extent = np.array(stop) - first
    counts = -(-extent // np.minimum(block_shape(grid, PROBES_PER_BLOCK), extent))
    edges = -(-extent // (counts * size)) * size
    cut = grid_blocks(grid, _index(first), stop, _index(edges))
    return [
        Block(
            cut.lower[b], cut.upper[b],
            int(np.prod(-(-(cut.last[b] - cut.first[b]) // size))),
            np.stack((cut.first[b], cut.last[b])),
        )
        for b in np.flatnonzero(search.occupied(cut.lower, cut.upper))
    ]  # fmt: skip


def _layers(start: Index, stop: Index) -> Iterator[tuple[int, int]]:
    """Cut a box into slabs of whole layers along the first axis."""
    per_layer = (stop[1] - start[1]) * (stop[2] - start[2])
    # A multiple of the blocks' usual edge, so that few of them are cut.
    thickness = max(1, _PROBES_PER_PART // (32 * per_layer)) * 32
    for first in range(start[0], stop[0], thickness):
        yield first, min(first + thickness, stop[0])


def _extent(grid: Grid, group: Index) -> float:
    """Return the longest diagonal of a group of grid points, Å; a little longer for rounding."""
    edges = grid.voxel * (np.array(group) - 1)[:, None]
    diagonals = [np.array(signs) @ edges for signs in itertools.product((-1.0, 1.0), repeat=3)]
    return float(np.linalg.norm(diagonals, axis=1).max()) * (1.0 + 1e-9)


def _index(values: IntegerArray) -> Index:
    return int(values[0]), int(values[1]), int(values[2])
