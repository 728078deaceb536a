"""Batches of blocks of probes, evaluated on a GPU from the pairs of groups and atoms on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.gpu import DeviceSuperposition
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.kernels.triton.pairs import Candidates, CountedPairs, Groups, Pairs
from deepdft.kernels.triton.piecewise import PiecewiseTable
from deepdft.kernels.triton.sums import SlicedFilters, summed_messages
from deepdft.kernels.triton.transfers import HostCopy, upload

PROBES_PER_BATCH = 1 << 18
"""Probes whose messages are held at once, where memory allows: some milliseconds of work."""

_READOUT_ROWS = 32768
"""Probes that go through a readout in torch at once."""

_BYTES_BESIDE_MESSAGES = 1024
"""Memory for a probe's place, its pairs and its density, with room to spare."""


class Block(NamedTuple):
    """A block of probes on its way to the device.

    Attributes:
        lower, upper: (3,) bounds of its points, Å.
        n_groups: number of groups.
        content: (2, 3) first index and last index + 1 on a grid, or (n,) indices of listed points.
    """

    lower: FloatArray
    upper: FloatArray
    n_groups: int
    content: IntegerArray


class Filters(NamedTuple):
    """Tabulated filters for groups of one extent.

    Attributes:
        table: pieces of polynomials.
        sliced: the same, with the senders, as the kernel reads them.
        group_size: probes of a group.
    """

    table: PiecewiseTable
    sliced: SlicedFilters
    group_size: int


MakeGroups = Callable[[list[Block]], Groups]


class _Counted(NamedTuple):
    """A batch whose pairs have been counted."""

    pairs: CountedPairs
    all_candidates: Candidates


class BatchEvaluator:
    """Evaluates blocks for one structure.

    Args:
        network: the network, float32.
        device: where it is.
        baseline: atomic densities below the network, or None.
        atoms: the structure.
        isolated: density of a probe with no atom in reach, without baseline, e/Å^3.
    """

    def __init__(
        self,
        network: DensityModel,
        device: torch.device,
        baseline: AtomicDensityTables | None,
        atoms: Atoms,
        isolated: float,
    ) -> None:
        self.device = device
        self._network, self._isolated = network, isolated
        self._readout = network.device_readout()
        self._superposition = (
            None if baseline is None else DeviceSuperposition(baseline, atoms, device)
        )

    def evaluate(
        self,
        blocks: list[Block],
        n_points: int,
        make_groups: MakeGroups,
        filters: Filters,
        search: NeighbourhoodSearch,
        *,
        in_torch: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """Return the density at the points of blocks.

        Args:
            blocks: the blocks.
            n_points: number of points.
            make_groups: makes the groups of a batch of blocks on the device.
            filters: for groups of their extent.
            search: finds the atoms in reach of network and baseline.
            in_torch: whether the readout must be the one in torch.

        Returns:
            (n_points,) float64 e/Å^3, and whether all of it is finite, both on the device. The
            calculation need not be finished when this returns.
        """
        values = torch.full(
            (n_points + 1,), self._isolated, dtype=torch.float64, device=self.device
        )
        finite = torch.ones((), dtype=torch.bool, device=self.device)
        waiting: _Counted | None = None
        batches: list[list[Block]] = list(self._batches(blocks, filters))
        for batch in [*batches, None]:
            following = None
            if batch is not None:
                groups = make_groups(batch)
                near, reaching = self._candidates(batch, search)
                cutoff = self._network.cutoff
                following = _Counted(CountedPairs(groups, near, filters.table, cutoff), reaching)
            # Only now, so that the device has work while the next batch is prepared.
            if waiting is not None:
                finite &= self._finish(waiting, values, filters.sliced, in_torch)
            waiting = following
        return values[:n_points], finite

    def _finish(
        self, counted: _Counted, values: Tensor, filters: SlicedFilters, in_torch: bool
    ) -> Tensor:
        groups = counted.pairs.groups
        pairs = counted.pairs.listed()
        densities = self._densities(pairs, filters, in_torch)
        values.index_copy_(0, groups.places[pairs.active].flatten(), densities.double())
        if self._superposition is not None:
            self._superposition.add_to(values, groups, counted.all_candidates)
        return densities.isfinite().all()

    def _densities(self, pairs: Pairs, filters: SlicedFilters, in_torch: bool) -> Tensor:
        """Return the network's density at the probes of the active groups."""
        n_probes = pairs.active.shape[0] * pairs.offsets_in_piece.shape[1]
        if self._readout is not None and not in_torch:
            halves = 1 if self._network.settings.products == "float16" else 2
            messages = summed_messages(pairs, filters, halves, self._readout.row_multiple)
            return self._readout.density(messages)[:n_probes]
        messages = summed_messages(pairs, filters, 0, 1)[:, :, : filters.channels]
        parts = [
            self._network.readout(messages[:, first : first + _READOUT_ROWS])
            for first in range(0, n_probes, _READOUT_ROWS)
        ]
        return torch.cat(parts) if parts else messages.new_empty(0)

    def _batches(self, blocks: list[Block], filters: Filters) -> Iterator[list[Block]]:
        """Cut blocks into batches that fill the device but not its memory."""
        sliced = filters.sliced
        largest = PROBES_PER_BATCH
        if self.device.type == "cuda":
            needed = 4 * sliced.steps * sliced.width + _BYTES_BESIDE_MESSAGES
            free = torch.cuda.mem_get_info(self.device)[0]
            largest = min(largest, free // (4 * needed))
        batch: list[Block] = []
        n_probes = 0
        for block in blocks:
            if batch and n_probes + block.n_groups * filters.group_size > largest:
                yield batch
                batch, n_probes = [], 0
            batch.append(block)
            n_probes += block.n_groups * filters.group_size
        if batch:
            yield batch

    def _candidates(
        self, batch: list[Block], search: NeighbourhoodSearch
    ) -> tuple[Candidates, Candidates]:
        """Return the image atoms near each block: those in the network's reach, and all."""
        found = [search.near(block.lower, block.upper) for block in batch]
        near = []
        for block, (atoms, positions) in zip(batch, found, strict=True):
            gap = positions - np.clip(positions, block.lower, block.upper)
            reaching = (gap * gap).sum(axis=1) < self._network.cutoff**2
            near.append((atoms[reaching], positions[reaching]))
        return self._uploaded(near), self._uploaded(found)

    def _uploaded(self, found: list[tuple[IntegerArray, FloatArray]]) -> Candidates:
        starts = np.concatenate(([0], np.cumsum([len(atoms) for atoms, _ in found])))
        atoms = np.concatenate([atoms for atoms, _ in found]).astype(np.int32)
        positions = np.concatenate([positions for _, positions in found])
        return Candidates(
            upload(starts, self.device), upload(atoms, self.device), upload(positions, self.device)
        )


class Part:
    """Part of a result, on its way from the device.

    Args:
        evaluate: what `BatchEvaluator.evaluate` returns, given `in_torch`.
    """

    def __init__(self, evaluate: Callable[[bool], tuple[Tensor, Tensor]]) -> None:
        self._evaluate = evaluate
        values, finite = evaluate(False)
        self._values, self._finite = HostCopy(values), HostCopy(finite)

    def copy_into(self, result: FloatArray) -> None:
        """Copy the values into an array of as many elements."""
        values = self._values.wait()
        if not bool(self._finite.wait()):
            # Beyond the range of half precision, if not of float32 as well.
            values = self._evaluate(True)[0].cpu()
        result[...] = values.numpy().reshape(result.shape)
