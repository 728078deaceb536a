"""Edges between atoms, and from atoms to probes (query points).

An edge runs from its sender to its receiver. Atoms send and receive; probes only receive. In a
periodic system the graph is the quotient graph: an edge for every periodic image within the
cutoff, several between the same two atoms where the cell is small. Edges are sorted by receiver,
so that the edges of receiver p are ``offsets[p]:offsets[p + 1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from ase import Atoms
from numpy.typing import NDArray
from torch import Tensor

from deepdft.arrays import FloatArray
from deepdft.geometry.neighbours import EdgeArrays, atom_edges, edges_to_points
from deepdft.geometry.periodic_images import images_in_reach


@dataclass(frozen=True)
class Edges:
    """Edges sorted by receiver.

    Attributes:
        senders: (edges,) int32 index of the sending atom.
        offsets: (receivers + 1,) int64 first edge of each receiver.
        distances: (edges,) Å.
        vectors: None, or (edges, 3) from sender to receiver, Å, for architectures that look at
            directions.
    """

    senders: Tensor
    offsets: Tensor
    distances: Tensor
    vectors: Tensor | None = None

    @property
    def n_receivers(self) -> int:
        """Number of receivers, those without an edge included."""
        return self.offsets.shape[0] - 1

    @cached_property
    def receivers(self) -> Tensor:
        """(edges,) int64 index of the receiving atom or probe."""
        index = torch.arange(self.n_receivers, device=self.offsets.device)
        return index.repeat_interleave(self.offsets.diff())

    @cached_property
    def in_reach(self) -> Tensor:
        """(receivers,) whether a receiver has any edge."""
        return self.offsets.diff() > 0

    def with_distances(self, distances: Tensor) -> Edges:
        """Return the same edges with other (for example differentiable) distances."""
        return replace(self, distances=distances)

    def of_reached_receivers(self) -> Edges:
        """Return the edges with the receivers that have none left out."""
        kept = torch.cat((self.in_reach.new_ones(1), self.in_reach))
        return replace(self, offsets=self.offsets[kept])

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Edges:
        """Return the edges on `device`, with distances and vectors of type `dtype`."""
        return Edges(
            self.senders.to(device),
            self.offsets.to(device),
            self.distances.to(device, dtype),
            None if self.vectors is None else self.vectors.to(device, dtype),
        )


@dataclass(frozen=True)
class AtomGraph:
    """The atoms of one or several structures with the edges between them.

    Attributes:
        numbers: (atoms,) int64 atomic numbers.
        edges: from atoms to atoms.
    """

    numbers: Tensor
    edges: Edges

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> AtomGraph:
        """Return the graph on `device`, with distances of type `dtype`."""
        return AtomGraph(self.numbers.to(device), self.edges.to(device, dtype))


def atom_graph(atoms: Atoms, cutoff: float, *, directions: bool = False) -> AtomGraph:
    """Return the graph of a structure: an edge for every image pair closer than `cutoff` (Å).

    Distances are float64. An atom is never its own sender, but its periodic images are.

    Args:
        atoms: the structure.
        cutoff: reach of an atom, Å.
        directions: whether the edges shall have vectors.

    Raises:
        UnsupportedStructureError: if there are no atoms, two atoms coincide, a position is not
            finite or the periodic cell vectors are not linearly independent.
    """
    edges = _tensors(atom_edges(atoms, cutoff, directions=directions))
    return AtomGraph(torch.from_numpy(atoms.numbers.astype(np.int64)), edges)


def probe_edges(
    atoms: Atoms, points: FloatArray, cutoff: float, *, directions: bool = False
) -> Edges:
    """Return the edges from atoms (and their images) to points closer than `cutoff` (Å).

    Suited to points that lie near each other or near one molecule; grids and long lists of points
    go through `deepdft.prediction`, which works block by block.

    Args:
        atoms: the structure.
        points: (n, 3) Å.
        cutoff: reach of an atom, Å.
        directions: whether the edges shall have vectors.

    Returns:
        Edges with float64 distances. The edges of a point, their order included, do not depend on
        the other points.
    """
    if len(points) == 0:
        empty = torch.zeros(0)
        vectors = torch.zeros((0, 3), dtype=torch.float64) if directions else None
        return Edges(empty.int(), torch.zeros(1, dtype=torch.int64), empty.double(), vectors)
    images = images_in_reach(
        atoms.positions, atoms.cell, atoms.pbc, points.min(axis=0), points.max(axis=0), cutoff
    )
    return edges_to_images(images.atoms, images.positions, points, cutoff, directions=directions)


def edges_to_images(
    image_atoms: NDArray[np.int64],
    image_positions: FloatArray,
    points: FloatArray,
    cutoff: float,
    *,
    directions: bool = False,
) -> Edges:
    """Return the edges of `deepdft.geometry.neighbours.edges_to_points` as tensors."""
    return _tensors(
        edges_to_points(image_atoms, image_positions, points, cutoff, directions=directions)
    )


def _tensors(edges: EdgeArrays) -> Edges:
    return Edges(*(None if array is None else torch.from_numpy(array) for array in edges))  # type: ignore[arg-type]


def concatenate_edges(parts: Sequence[Edges], sender_counts: Sequence[int]) -> Edges:
    """Join the edges of several structures; part i's senders are shifted by the atoms before it.

    Args:
        parts: edges of each structure.
        sender_counts: number of atoms of each structure.
    """
    atom_shift = edge_shift = 0
    senders, offsets = [], [torch.zeros(1, dtype=torch.int64)]
    for part, count in zip(parts, sender_counts, strict=True):
        senders.append(part.senders + atom_shift)
        offsets.append(part.offsets[1:] + edge_shift)
        atom_shift += count
        edge_shift += part.senders.shape[0]
    distances = torch.cat([part.distances for part in parts])
    found = [part.vectors for part in parts if part.vectors is not None]
    vectors = torch.cat(found) if found else None
    return Edges(torch.cat(senders), torch.cat(offsets), distances, vectors)


def concatenate_graphs(parts: Sequence[AtomGraph]) -> AtomGraph:
    """Join the graphs of several structures into one without edges between them."""
    edges = concatenate_edges([g.edges for g in parts], [g.numbers.shape[0] for g in parts])
    return AtomGraph(torch.cat([g.numbers for g in parts]), edges)
