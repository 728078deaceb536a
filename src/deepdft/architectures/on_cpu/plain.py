"""Blocks of probes in NumPy: of any floating type, with tabulated or direct filters.

Slow; it says what the compiled form has to give, and serves where that does not.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Array, FloatArray, IntegerArray
from deepdft.geometry.neighbours import ON_NUCLEUS, EdgeArrays, edges_to_points
from deepdft.kernels.jets import Jet
from deepdft.kernels.radial.filters import Filters

PROBES_PER_BLOCK = (64, 32, 16)
"""By order of the derivatives."""


class PlainNetwork(Protocol):
    """What an architecture makes of the edges of probes.

    Attributes:
        filters: maps the jet of distances to filters (steps, edges, channels).
        dtype: floating type of the computation.
    """

    filters: Filters
    dtype: Any

    def factors(self, sent: Array, positions: Jet) -> Jet:
        """Return what filters are multiplied with on an edge, (steps, edges, channels).

        Args:
            sent: (steps, edges, numbers) what the atoms of the edges send.
            positions: (3, edges) of the probe, from the atom, Å.
        """
        ...

    def readout(self, messages: Jet) -> Jet:
        """Map summed messages (steps, probes, channels) to densities (probes,) in e/Å^3."""
        ...


class PlainProbes:
    """Evaluates probes around encoded atoms.

    Args:
        network: the network.
        senders: (steps, atoms, numbers) what the atoms send.
        cutoff: reach of an atom, Å.
    """

    isolated_density = 0.0

    def __init__(self, network: PlainNetwork, senders: Array, cutoff: float) -> None:
        self._network, self._senders, self._cutoff = network, senders, cutoff

    def probes_per_block(self, order: int) -> int:
        """Return how many probes are best evaluated at once."""
        return PROBES_PER_BLOCK[order]

    def density(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        out: FloatArray,
    ) -> None:  # fmt: skip
        """Put in the density of those probes that have an atom in reach."""
        edges = self._edges(points, image_atoms, image_positions)
        if len(edges.senders):
            out[_reached(edges)] = self._densities(edges, 0).value

    def derivatives(
        self, points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
        density: FloatArray, gradient: FloatArray, hessian: FloatArray | None,
    ) -> None:  # fmt: skip
        """Put in density and derivatives of those probes that have an atom in reach."""
        edges = self._edges(points, image_atoms, image_positions)
        if len(edges.senders) == 0:
            return
        reached = _reached(edges)
        found = self._densities(edges, 1 if hessian is None else 2)
        density[reached], gradient[reached] = found.value, found.first.T
        if hessian is None:
            return
        places = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])
        hessian[reached] = found.second[places].transpose(2, 0, 1)
        if (edges.distances < ON_NUCLEUS).any():
            # The second derivative in the distance of the nucleus itself, in all directions.
            along = self._densities(edges, 2, own_distance=True).second[0]
            hessian[reached] += along[:, None, None] * np.eye(3)

    def _edges(self, points: FloatArray, atoms: IntegerArray, positions: FloatArray) -> EdgeArrays:
        return edges_to_points(atoms, positions, points, self._cutoff, directions=True)

    def _densities(self, edges: EdgeArrays, order: int, own_distance: bool = False) -> Jet:
        """Return the densities of the probes in reach.

        Args:
            edges: from atoms to probes, with vectors.
            order: of the derivatives by the probe's position.
            own_distance: derivatives by the distance to the nucleus that a probe is on instead.
        """
        assert edges.vectors is not None
        dtype = self._network.dtype
        vectors = edges.vectors.T.astype(dtype)
        distances = edges.distances.astype(dtype)
        on_nucleus = edges.distances < ON_NUCLEUS
        variables = (0, 3, 1 if own_distance else 3)[order]
        pairs = (0, 0, 1 if own_distance else 6)[order]
        moved = Jet(distances, np.zeros((variables, len(distances)), dtype),
                    np.zeros((pairs, len(distances)), dtype))  # fmt: skip
        positions = Jet.constant(vectors, moved)
        if own_distance:
            moved.first[0] = on_nucleus
        elif order:
            positions.first[np.arange(3), np.arange(3)] = 1.0
            unit = np.where(on_nucleus, 0.0, vectors / np.where(on_nucleus, 1.0, distances))
            moved.first[:] = unit
            for n, (i, j) in enumerate(moved.pairs):
                across = (i == j) - unit[i] * unit[j]
                moved.second[n] = np.where(on_nucleus, 0.0, across) / np.where(
                    on_nucleus, 1.0, distances
                )
        factors = self._network.factors(self._senders[:, edges.senders].astype(dtype), positions)
        starts = edges.offsets[:-1][np.diff(edges.offsets) > 0]
        messages = (self._network.filters(moved) * factors).map(
            lambda part: np.add.reduceat(part, starts, axis=2)
        )
        return self._network.readout(messages)


def _reached(edges: EdgeArrays) -> NDArray[np.bool_]:
    return np.diff(edges.offsets) > 0
