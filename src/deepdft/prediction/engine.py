"""The probe engine: atoms encoded once, then block after block of probes.

A block is a small box of probes. Its atoms come from one cell list, its edges from comparing its
probes with those atoms, its messages from the tabulated filters and its densities from the
architecture's readout. Memory depends on the block, not on how many probes there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, TypeVar, overload

import numpy as np
import torch
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.density import FloatArray, Grid, as_points
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.block_superposition import BlockSuperposition
from deepdft.fields.field import Derivatives, Order, check_order
from deepdft.fields.walk import BlockWalk, into
from deepdft.geometry.blocks import Index
from deepdft.geometry.graphs import edges_to_images
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.kernels.edges.block_edges import BlockNetwork, Workspace, block_edges
from deepdft.kernels.triton.support import triton_serves
from deepdft.levels import LevelOfTheory
from deepdft.prediction.atom_states import encode_atoms
from deepdft.prediction.torch_threads import one_torch_thread
from deepdft.threads import available_threads, run_in_threads

if TYPE_CHECKING:
    from deepdft.prediction.derivatives import DerivativeEngine
    from deepdft.prediction.device_engine import DeviceEngine

IntegerArray = NDArray[np.int64]
T = TypeVar("T")
Values = TypeVar("Values", float, FloatArray)

PROBES_PER_BLOCK = {"compiled": 512, "cpu": 64, "cuda": 32768}
"""On a CPU a block's messages and hidden layers (in torch also its filters) stay in cache."""


class ProbeEngine:
    """Evaluates a network for one structure at any number of probes: a `Field`.

    Args:
        network: the network; its parameters' type is the type of the computation.
        baseline: atomic densities below the network, or None.
        atoms: the structure.
        threads: CPU threads; default: all that this process may use.
        senders: what `deepdft.prediction.atom_states` has computed for the structure before,
            (steps, atoms, channels).
        level: level of theory; where its densities are nowhere negative, negative values become
            zero.

    Raises:
        UnsupportedStructureError: if the network does not know an element.
    """

    def __init__(
        self,
        network: DensityModel,
        baseline: AtomicDensityTables | None,
        atoms: Atoms,
        threads: int | None = None,
        senders: Tensor | None = None,
        level: LevelOfTheory | None = None,
    ) -> None:
        parameter = next(network.parameters())
        self.network = network
        self.baseline = baseline
        self.atoms = atoms
        self.device, self.dtype = parameter.device, parameter.dtype
        self.threads = threads or available_threads()
        self.level = level or LevelOfTheory()
        self.nonnegative = self.level.is_nonnegative
        self._derivatives: dict[int, DerivativeEngine] = {}
        self._superposition = None if baseline is None else BlockSuperposition(baseline, atoms)
        self._workspaces: list[Workspace] = []
        reach = max(network.cutoff, 0.0 if baseline is None else baseline.cutoff)
        self.walk = BlockWalk(atoms, reach, self._run)
        with torch.inference_mode(), one_torch_thread():
            if senders is None:
                senders = encode_atoms(network, atoms, self.threads)
            self.senders = senders.to(self.device, self.dtype)
            self.table = None if network.settings.filters == "direct" else network.probe_table()
            self._compiled = (
                None if self.table is None else network.block_network(self.senders, self.table)
            )
            self._isolated = self._limited(network.isolated_density(self.senders, self.table))
            self._on_device = self._device_engine()
        self.block_size = self._best_block_size()

    @property
    def largest_order(self) -> Order:
        """Largest order of derivatives."""
        return 2

    @property
    def is_compiled(self) -> bool:
        """Whether blocks go through compiled code rather than torch."""
        return self._compiled is not None

    @property
    def is_fused(self) -> bool:
        """Whether blocks are made and evaluated wholly on a GPU."""
        return self._on_device is not None

    def _device_engine(self) -> DeviceEngine | None:
        if not triton_serves(self.device):
            return None
        from deepdft.prediction.device_engine import DeviceEngine, suits_device

        if not suits_device(self.network):
            return None
        engine = DeviceEngine(self.network, self.senders, self.baseline, self.atoms, self._isolated)
        return engine if engine.is_usable else None

    def _best_block_size(self) -> int:
        if self.device.type == "cuda":
            return PROBES_PER_BLOCK["cuda"]
        if self._compiled is not None:
            return PROBES_PER_BLOCK["compiled"]
        wanted = None if self.table is None else self.network.probes_per_block
        return wanted or PROBES_PER_BLOCK["cpu"]

    @overload
    def at(self, points: ArrayLike, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def at(self, points: ArrayLike, order: Literal[1, 2]) -> Derivatives: ...
    def at(self, points: ArrayLike, order: Order = 0) -> FloatArray | Derivatives:
        """Return the density at points.

        Args:
            points: (n, 3) Å.
            order: of the derivatives that are wanted as well.

        Returns:
            (n,) e/Å^3; the value at a point does not depend on the other points.

        Raises:
            ConfigurationError: if the points have another shape or are not finite, or the order
                is none of 0, 1 and 2.
        """
        if order:
            return self._derivatives_of(order).at(points)
        positions = moved_into_cell(as_points(points), self.atoms)
        result = self._without_atoms(len(positions))
        if len(positions) == 0:
            return result
        if self._on_device is not None:
            search = self.walk.search(positions)
            return self._limited(self._on_device.density_at(positions, search))
        self.walk.points(positions, self.block_size, self._block, into(result))
        return result

    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[0] = 0) -> FloatArray: ...
    @overload
    def box(self, grid: Grid, start: Index, stop: Index, order: Literal[1, 2]) -> Derivatives: ...
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Order = 0
    ) -> FloatArray | Derivatives:
        """Return the density on the index box start:stop of a grid, (mx, my, mz), as `at`."""
        if order:
            return self._derivatives_of(order).box(grid, start, stop)
        result = self._without_atoms(*(high - low for low, high in zip(start, stop, strict=True)))
        if result.size == 0:
            return result
        if self._on_device is not None:
            search = self.walk.grid_search(grid, start, stop)
            return self._limited(self._on_device.on_grid(grid, start, stop, search))
        self.walk.grid(grid, start, stop, self.block_size, self._block, into(result))
        return result

    def _derivatives_of(self, order: Literal[1, 2]) -> DerivativeEngine:
        from deepdft.prediction.derivatives import DerivativeEngine

        check_order(order, self.largest_order, "A predicted density")
        if order not in self._derivatives:
            self._derivatives[order] = DerivativeEngine(self, order)
        return self._derivatives[order]

    def _block(self, points: FloatArray, search: NeighbourhoodSearch) -> FloatArray:
        """Density of probes that lie near each other."""
        result = self._without_atoms(len(points))
        atoms, positions = search.near_points(points)
        if len(atoms) == 0:
            return result
        if self._compiled is None:
            self._set_network(result, points, atoms, positions)
        else:
            self._set_compiled(result, points, atoms, positions, self._compiled)
        if self._superposition is not None:
            self._superposition.add_to(result, points, atoms, positions)
        return self._limited(result)

    def _limited(self, values: Values) -> Values:
        """Nothing below zero, where the density is known to be nowhere negative."""
        return np.maximum(values, 0.0) if self.nonnegative else values

    def _without_atoms(self, *shape: int) -> FloatArray:
        """What the network says where no atom is in reach."""
        return np.full(shape, self._isolated) if self._isolated else np.zeros(shape)

    def _set_network(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray
    ) -> None:
        """Put in what the network makes of image atoms, in torch."""
        edges = edges_to_images(
            atoms,
            positions,
            points,
            self.network.cutoff,
            directions=self.network.architecture.uses_directions,
        )
        reached = edges.in_reach.numpy()
        if reached.any():
            # Probes without an atom in reach cost no more than finding that out.
            edges = edges.of_reached_receivers().to(self.device, self.dtype)
            with torch.inference_mode():
                values = self.network.density(self.senders, edges, self.table)
            result[reached] = values.cpu().numpy()

    def _set_compiled(
        self, result: FloatArray, points: FloatArray, atoms: IntegerArray, positions: FloatArray,
        compiled: BlockNetwork,
    ) -> None:  # fmt: skip
        """Put in what the network makes of image atoms, in compiled code."""
        assert self.table is not None
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = Workspace()
        edges = block_edges(
            points, atoms, positions, self.network.cutoff, self.table.spacing,
            self.table.entries.shape[1], workspace, compiled.harmonics,
        )  # fmt: skip
        if edges.n_receivers:
            values = compiled.density(edges, workspace)
            result[edges.points[: edges.n_receivers]] = values
        self._workspaces.append(workspace)

    def _run(self, work: Callable[[T], None], items: Sequence[T]) -> None:
        if self._compiled is not None:
            run_in_threads(work, items, self.threads)
            return

        def in_thread(item: T) -> None:
            with one_torch_thread():
                work(item)

        with one_torch_thread():
            run_in_threads(in_thread, items, self.threads)
