"""The probe engine: atoms encoded once, then block after block of probes.

A block is a small box of probes. Its atoms come from one cell list, its edges from comparing its
probes with those atoms, its messages from the tabulated filters and its densities from the
architecture's readout. Memory depends on the block, not on how many probes there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.atomic import AtomicDensityTables
from deepdft.atomic.block_superposition import BlockSuperposition
from deepdft.density import FloatArray, Grid, as_points
from deepdft.graph import atom_graph, edges_to_images
from deepdft.kernels.block_edges import BlockNetwork, Workspace, block_edges
from deepdft.models.base import DensityModel
from deepdft.prediction.neighbours import NeighbourhoodSearch

IntegerArray = NDArray[np.int64]

PROBES_PER_BLOCK = {"cpu": 512, "cuda": 32768}
"""On a CPU the messages of a block (1.5 MB for the paper's model) stay in cache."""

_POINT_BIN = 3.0
"""Edge of the boxes into which a list of points is sorted, Å."""

_IMPORTED_BY = os.getpid()


class ProbeEngine:
    """Evaluates a network for one structure at any number of probes.

    Args:
        network: the network; its parameters' type is the type of the computation.
        baseline: atomic densities below the network, or None.
        atoms: the structure.
        threads: CPU threads; default: all that this process may use.

    Raises:
        UnsupportedStructureError: if the network does not know an element.
    """

    def __init__(
        self,
        network: DensityModel,
        baseline: AtomicDensityTables | None,
        atoms: Atoms,
        threads: int | None = None,
    ) -> None:
        parameter = next(network.parameters())
        self.network = network
        self.baseline = baseline
        self.atoms = atoms
        self.device, self.dtype = parameter.device, parameter.dtype
        self.threads = threads or available_threads()
        self.block_size = PROBES_PER_BLOCK["cuda" if self.device.type == "cuda" else "cpu"]
        self._superposition = None if baseline is None else BlockSuperposition(baseline, atoms)
        self._workspaces: list[Workspace] = []
        with torch.inference_mode(), _torch_threads_that_work():
            graph = atom_graph(atoms, network.cutoff).to(self.device, self.dtype)
            self.senders = network.encode(graph)
            self.table = None if network.filters == "direct" else network.probe_table()
            self._compiled = (
                None if self.table is None else network.block_network(self.senders, self.table)
            )

    @property
    def is_compiled(self) -> bool:
        """Whether blocks go through compiled code rather than torch."""
        return self._compiled is not None

    def density_at(self, points: ArrayLike) -> FloatArray:
        """Return the density at points.

        Args:
            points: (n, 3) Å.

        Returns:
            (n,) e/Å^3; the value at a point does not depend on the other points.
        """
        positions = as_points(points)
        result = np.zeros(len(positions))
        if len(positions) == 0:
            return result
        search = self._search(positions.min(axis=0), positions.max(axis=0))

        def fill(chosen: NDArray[np.int64]) -> None:
            result[chosen] = self._block(positions[chosen], search)

        self._run(fill, _spatial_groups(positions, self.block_size))
        return result

    def on_grid(
        self, grid: Grid, start: tuple[int, int, int], stop: tuple[int, int, int]
    ) -> FloatArray:
        """Return the density on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        size = [high - low for low, high in zip(start, stop, strict=True)]
        result = np.zeros(size)
        corners = _corners(grid, start, stop)
        search = self._search(corners.min(axis=0), corners.max(axis=0))
        block = block_shape(grid, self.block_size)

        def fill(first: tuple[int, int, int]) -> None:
            last = tuple(min(f + b, s) for f, b, s in zip(first, block, stop, strict=True))
            points = grid.points(first, (last[0], last[1], last[2]))
            values = self._block(points.reshape(-1, 3), search)
            place = tuple(slice(f - s, e - s) for f, e, s in zip(first, last, start, strict=True))
            result[place] = values.reshape(points.shape[:3])

        firsts = [
            (i, j, k)
            for i in range(start[0], stop[0], block[0])
            for j in range(start[1], stop[1], block[1])
            for k in range(start[2], stop[2], block[2])
        ]
        self._run(fill, firsts)
        return result

    def _search(self, lower: FloatArray, upper: FloatArray) -> NeighbourhoodSearch:
        reach = self.network.cutoff
        if self.baseline is not None:
            reach = max(reach, self.baseline.cutoff)
        return NeighbourhoodSearch(self.atoms, lower, upper, reach)

    def _block(self, points: FloatArray, search: NeighbourhoodSearch) -> FloatArray:
        """Density of probes that lie near each other."""
        result = np.zeros(len(points))
        atoms, positions = search.near(points.min(axis=0), points.max(axis=0))
        if len(atoms) == 0:
            return result
        if self._compiled is None:
            self._add_network(result, points, atoms, positions)
        else:
            self._add_compiled(result, points, atoms, positions, self._compiled)
        if self._superposition is not None:
            self._superposition.add_to(result, points, atoms, positions)
        return result

    def _add_network(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray
    ) -> None:
        """Add what the network makes of image atoms, in torch."""
        edges = edges_to_images(atoms, positions, points, self.network.cutoff)
        reached = edges.in_reach.numpy()
        if reached.any():
            # Probes without an atom in reach cost no more than finding that out.
            edges = edges.of_reached_receivers().to(self.device, self.dtype)
            with torch.inference_mode():
                values = self.network.density(self.senders, edges, self.table)
            result[reached] += values.cpu().numpy()

    def _add_compiled(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray,
        compiled: BlockNetwork,
    ) -> None:  # fmt: skip
        """Add what the network makes of image atoms, in compiled code."""
        assert self.table is not None
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = Workspace()
        edges = block_edges(
            points, atoms, positions, self.network.cutoff, self.table.spacing,
            self.table.entries.shape[1], workspace,
        )  # fmt: skip
        if edges.n_receivers:
            values = compiled.density(edges, workspace)
            result[edges.points[: edges.n_receivers]] += values
        self._workspaces.append(workspace)

    def _run(self, work: object, items: Sequence[object]) -> None:
        assert callable(work)
        with _one_torch_thread():
            if self.threads == 1 or len(items) == 1:
                for item in items:
                    work(item)
                return

            def in_thread(item: object) -> None:
                torch.set_num_threads(1)
                work(item)

            with ThreadPoolExecutor(self.threads) as pool:
                for _ in pool.map(in_thread, items):
                    pass


def available_threads() -> int:
    """Return how many CPUs this process may use (OMP_NUM_THREADS is respected)."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    if requested.isdigit() and int(requested) > 0:
        return int(requested)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _torch_threads_that_work() -> AbstractContextManager[None]:
    """Keep a forked process to one torch thread.

    Its parent's OpenMP threads do not exist there, and GNU OpenMP would wait for them for ever.
    """
    return nullcontext() if os.getpid() == _IMPORTED_BY else _one_torch_thread()


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """Our threads are the parallelism; torch must not start a team of its own in each of them."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def block_shape(grid: Grid, probes: int) -> tuple[int, int, int]:
    """Return the points along each axis of a block that is about as long as wide in Å."""
    lengths = np.linalg.norm(grid.voxel, axis=1)
    edge = (probes * float(np.prod(lengths))) ** (1 / 3)
    shape = np.clip(np.rint(edge / lengths), 1, grid.shape).astype(int)
    return int(shape[0]), int(shape[1]), int(shape[2])


def _corners(grid: Grid, start: tuple[int, int, int], stop: tuple[int, int, int]) -> FloatArray:
    ends = [(low, high - 1) for low, high in zip(start, stop, strict=True)]
    ijk = np.array([[i, j, k] for i in ends[0] for j in ends[1] for k in ends[2]])
    corners: FloatArray = grid.origin + (ijk / np.array(grid.shape)) @ grid.cell
    return corners


def _spatial_groups(points: FloatArray, largest: int) -> list[NDArray[np.int64]]:
    """Sort points into cubic bins and cut the bins into groups of at most `largest` points."""
    index = np.floor((points - points.min(axis=0)) / _POINT_BIN).astype(np.int64)
    order = np.lexsort(index.T)
    changes = np.flatnonzero((np.diff(index[order], axis=0) != 0).any(axis=1)) + 1
    groups: list[NDArray[np.int64]] = []
    for members in np.split(order, changes):
        groups.extend(members[i : i + largest] for i in range(0, len(members), largest))
    return groups
