"""Blocks of probes in compiled code, in float32, from tabulated filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol

import numpy as np

from deepdft.architectures.interface import ProbeNetwork
from deepdft.arrays import Array, FloatArray, IntegerArray
from deepdft.kernels.edges.block_edges import BlockNetwork, Workspace, block_edges
from deepdft.kernels.edges.jet_edges import JetNetwork, interval_polynomials, jet_edges
from deepdft.kernels.radial.filters import RadialTable
from deepdft.kernels.simd.vectors import padded_blocks

PROBES_PER_BLOCK = (512, 216, 125)
"""By order of the derivatives: a block's arrays stay in cache."""

_SYMMETRIC = np.array([[4, 7, 8], [7, 5, 9], [8, 9, 6]])
"""Places of xx, xy, ... among the components of a jet."""


class CompiledNetwork(BlockNetwork, JetNetwork, Protocol):
    """Compiled form of a network, its atoms included.

    Attributes:
        blocks: channels of each block of a row of the filters; blocks are padded to whole panels.
    """

    blocks: list[int]


class CompiledProbes:
    """Evaluates probes around encoded atoms.

    Args:
        network: the compiled form.
        table: of its filters, float64.
        cutoff: reach of an atom, Å.
        exact: makes what evaluates probes on nuclei, where the compiled form has no derivatives.
    """

    isolated_density = 0.0

    def __init__(
        self,
        network: CompiledNetwork,
        table: RadialTable,
        cutoff: float,
        exact: Callable[[], ProbeNetwork],
    ) -> None:
        self._network, self._table, self._cutoff = network, table, cutoff
        self._exact = exact
        self._workspaces: list[Workspace] = []

    def probes_per_block(self, order: int) -> int:
        """Return how many probes are best evaluated at once."""
        return PROBES_PER_BLOCK[order]

    def density(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        out: FloatArray,
    ) -> None:  # fmt: skip
        """Put in the density of those probes that have an atom in reach."""
        if len(image_atoms) == 0:
            return
        workspace = self._workspace()
        edges = block_edges(
            points, image_atoms, image_positions, self._cutoff, self._table.spacing,
            self._table.knots, workspace, self._network.harmonics,
        )  # fmt: skip
        if edges.n_receivers:
            values = self._network.density(edges, workspace)
            out[edges.points[: edges.n_receivers]] = values
        self._workspaces.append(workspace)

    def derivatives(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        density: FloatArray, gradient: FloatArray, hessian: FloatArray | None,
    ) -> None:  # fmt: skip
        """Put in density and derivatives of those probes that have an atom in reach."""
        if len(image_atoms) == 0:
            return
        workspace = self._workspace()
        edges = jet_edges(
            points, image_atoms, image_positions, self._cutoff, self._table.spacing,
            self._table.knots, workspace,
        )  # fmt: skip
        if edges.n_receivers:
            order = 1 if hessian is None else 2
            jets = self._network.jets(edges, self._polynomials, order, workspace)
            chosen = edges.points[: edges.n_receivers]
            density[chosen] = jets[0]
            gradient[chosen] = jets[1:4].T
            if hessian is not None:
                hessian[chosen] = jets[_SYMMETRIC].transpose(2, 0, 1)
            for point in chosen[edges.on_nucleus[: edges.n_receivers]]:
                here = slice(point, point + 1)
                self._on_nucleus.derivatives(
                    points[here], image_atoms, image_positions, density[here], gradient[here],
                    None if hessian is None else hessian[here],
                )  # fmt: skip
        self._workspaces.append(workspace)

    def _workspace(self) -> Workspace:
        try:
            return self._workspaces.pop()
        except IndexError:
            return Workspace()

    @cached_property
    def _polynomials(self) -> Array:
        return interval_polynomials(padded_blocks(self._table.entries, self._network.blocks))

    @cached_property
    def _on_nucleus(self) -> ProbeNetwork:
        return self._exact()
