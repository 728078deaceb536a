"""Density, gradient and Hessian at any number of points, block by block.

The derivatives are those of the function that `ProbeEngine` evaluates, through the same tables.
Memory depends on the block and the result, not on the number of points at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from deepdft.architectures.derivatives import in_double_precision
from deepdft.density import FloatArray, Grid, as_points
from deepdft.errors import ConfigurationError
from deepdft.fields.field import Derivatives
from deepdft.geometry.blocks import Index
from deepdft.geometry.graphs import edges_to_images
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.kernels.edges.block_edges import Workspace
from deepdft.kernels.edges.jet_edges import JetNetwork, interval_polynomials, jet_edges
from deepdft.prediction.engine import ProbeEngine

IntegerArray = NDArray[np.int64]

PROBES_PER_BLOCK = {"compiled": {1: 216, 2: 125}, "cpu": {1: 64, 2: 64}, "cuda": {1: 4096, 2: 4096}}
"""By order of the derivatives. On a CPU a block's arrays stay in cache."""

_SYMMETRIC = np.array([[4, 7, 8], [7, 5, 9], [8, 9, 6]])
"""Places of xx, xy, ... among the components of a jet."""


class DerivativeEngine:
    """Evaluates derivatives for the structure of a probe engine.

    Args:
        engine: of the structure.
        order: 1 for the gradient, 2 for the Hessian as well.

    Raises:
        ConfigurationError: for another order.
    """

    def __init__(self, engine: ProbeEngine, order: Literal[1, 2] = 2) -> None:
        if order not in (1, 2):
            raise ConfigurationError(f"Derivatives are of order 1 or 2, not {order}.")
        self.order = order
        self._engine = engine
        compiled: object = engine._compiled
        self._compiled = compiled if isinstance(compiled, JetNetwork) else None
        self._workspaces: list[Workspace] = []
        self._network = in_double_precision(engine.network)
        with torch.no_grad():
            direct = engine.network.settings.filters == "direct"
            self._table = None if direct else self._network.probe_table()
        if self._table is not None and self._compiled is not None:
            self._polynomials = interval_polynomials(self._table.entries.detach().cpu().numpy())
        kind = "cpu" if self._compiled is None else "compiled"
        kind = "cuda" if engine.device.type == "cuda" else kind
        self.block_size = PROBES_PER_BLOCK[kind][order]

    def at(self, points: ArrayLike) -> Derivatives:
        """Return the derivatives at points (n, 3) in Å, as (n,), (n, 3) and (n, 3, 3)."""
        positions = moved_into_cell(as_points(points), self._engine.atoms)
        result = self._without_atoms((len(positions),))
        self._engine.walk.points(positions, self.block_size, self._block, result.assign)
        return result

    def box(self, grid: Grid, start: Index, stop: Index) -> Derivatives:
        """Return the derivatives on the index box start:stop of a grid, as (mx, my, mz, ...)."""
        shape = [high - low for low, high in zip(start, stop, strict=True)]
        result = self._without_atoms(shape)
        self._engine.walk.grid(grid, start, stop, self.block_size, self._block, result.assign)
        return result

    def _block(self, points: FloatArray, search: NeighbourhoodSearch) -> Derivatives:
        """Derivatives at probes that lie near each other."""
        result = self._without_atoms((len(points),))
        atoms, positions = search.near_points(points)
        if len(atoms) == 0:
            return result
        if self._compiled is None:
            self._set_network(result, points, atoms, positions)
        else:
            self._set_compiled(result, points, atoms, positions, self._compiled)
        superposition = self._engine._superposition
        if superposition is not None:
            superposition.add_derivatives_to(*result, points, atoms, positions)
        if self._engine.nonnegative:
            negative = result.value < 0.0
            for values in result:
                if values is not None:
                    values[negative] = 0.0
        return result

    def _without_atoms(self, shape: Sequence[int]) -> Derivatives:
        """What the network says where no atom is in reach."""
        zeros = Derivatives.zeros(shape, self.order)
        zeros.value[...] = self._engine._isolated
        return zeros

    def _set_compiled(
        self, result: Derivatives, points: FloatArray, atoms: IntegerArray,
        positions: FloatArray, compiled: JetNetwork,
    ) -> None:  # fmt: skip
        """Put in what the network makes of image atoms, in compiled code."""
        table = self._table
        assert table is not None
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = Workspace()
        edges = jet_edges(
            points, atoms, positions, self._engine.network.cutoff, table.spacing,
            table.entries.shape[1], workspace,
        )  # fmt: skip
        if edges.n_receivers:
            jets = compiled.jets(edges, self._polynomials, self.order, workspace)
            chosen = edges.points[: edges.n_receivers]
            result.value[chosen] = jets[0]
            result.gradient[chosen] = jets[1:4].T
            if result.hessian is not None:
                result.hessian[chosen] = jets[_SYMMETRIC].transpose(2, 0, 1)
            for point in chosen[edges.on_nucleus[: edges.n_receivers]]:
                # The smooth part of a cusp needs second derivatives in the atom's own distance.
                here = self._without_atoms((1,))
                self._set_network(here, points[point : point + 1], atoms, positions)
                result.assign(slice(point, point + 1), here, (1,))
        self._workspaces.append(workspace)

    def _set_network(
        self, result: Derivatives, points: FloatArray, atoms: IntegerArray,
        positions: FloatArray,
    ) -> None:  # fmt: skip
        """Put in what the network makes of image atoms, in torch."""
        engine = self._engine
        near, senders = np.unique(atoms, return_inverse=True)
        edges = edges_to_images(senders, positions, points, engine.network.cutoff, directions=True)
        reached = edges.in_reach.numpy()
        if not reached.any():
            return
        found = self._network.derivatives(
            engine.senders[:, torch.from_numpy(near)].double(),
            edges.of_reached_receivers().to(engine.device), self._table, self.order,
        )  # fmt: skip
        for target, values in zip(result, found, strict=True):
            if target is not None and values is not None:
                target[reached] = values.cpu().numpy()
