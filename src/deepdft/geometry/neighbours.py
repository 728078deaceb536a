"""Edges between atoms, and from image atoms to points, as arrays.

An edge runs from its sender to its receiver. In a periodic system there is an edge for every
periodic image within the cutoff, several between the same two atoms where the cell is small. Edges
are sorted by receiver, so that the edges of receiver p are ``offsets[p]:offsets[p + 1]``.
"""

from __future__ import annotations

import sys
import threading
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.compilation import compiled
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.pairs import near_pairs
from deepdft.geometry.periodic_images import dual_vectors

ON_NUCLEUS = 1e-6
"""Å. A probe nearer to an atom counts as being on it, where the edge has no direction."""


class EdgeArrays(NamedTuple):
    """Edges sorted by receiver.

    Attributes:
        senders: (edges,) int32 index of the sending atom.
        offsets: (receivers + 1,) int64 first edge of each receiver.
        distances: (edges,) Å.
        vectors: None, or (edges, 3) from sender to receiver, Å.
    """

    senders: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distances: FloatArray
    vectors: FloatArray | None = None

    @property
    def n_receivers(self) -> int:
        """Number of receivers, those without an edge included."""
        return len(self.offsets) - 1

    def of_receivers(self, start: int, stop: int) -> EdgeArrays:
        """Return the edges of the receivers start:stop, renumbered from 0; senders keep theirs."""
        offsets = self.offsets[start : stop + 1]
        chosen = slice(int(offsets[0]), int(offsets[-1]))
        vectors = None if self.vectors is None else self.vectors[chosen]
        return EdgeArrays(
            self.senders[chosen], offsets - offsets[0], self.distances[chosen], vectors
        )


def atom_edges(atoms: Atoms, cutoff: float, *, directions: bool = False) -> EdgeArrays:
    """Return an edge for every pair of images of atoms closer than `cutoff` (Å).

    Distances are float64. An atom is never its own sender, but its periodic images are.

    Args:
        atoms: the structure.
        cutoff: reach of an atom, Å.
        directions: whether the edges shall have vectors.

    Raises:
        UnsupportedStructureError: if there are no atoms, two atoms coincide, a position is not
            finite or the periodic cell vectors are not linearly independent.
    """
    if len(atoms) == 0:
        raise UnsupportedStructureError("The structure has no atoms.")
    if not np.isfinite(atoms.positions).all():
        raise UnsupportedStructureError("An atom has a position that is not finite.")
    box = np.array(atoms.cell, dtype=np.float64)
    if atoms.pbc.any():
        dual_vectors(box[atoms.pbc])  # vesin would crash on a cell that is refused here
    if _is_sparse(atoms, cutoff):
        receivers, senders, distances, vectors = _without_bins(atoms, cutoff)
    else:
        calculator = _neighbour_list()(cutoff=float(cutoff), full_list=True)
        # vesin's vectors point from its first to its second atom: from the receiver to the sender.
        receivers, senders, distances, vectors = calculator.compute(
            points=np.ascontiguousarray(atoms.positions, dtype=np.float64),
            box=box,
            periodic=[bool(p) for p in atoms.pbc],
            quantities="ijdD",
        )
    inside = distances < cutoff
    receivers, senders, distances = receivers[inside], senders[inside], distances[inside]
    if distances.size and distances.min() < 1e-3:
        pair = int(np.argmin(distances))
        raise UnsupportedStructureError(
            f"Atoms {int(receivers[pair])} and {int(senders[pair])} are at the same place "
            f"({distances[pair]:.1e} Å apart)."
        )
    # Sorting by distance within a receiver makes sums independent of the search's own order.
    order = np.lexsort((senders, distances, receivers))
    counts = np.bincount(receivers.astype(np.int64), minlength=len(atoms))
    return EdgeArrays(
        senders[order].astype(np.int32),
        np.concatenate(([0], np.cumsum(counts))),
        np.ascontiguousarray(distances[order], dtype=np.float64),
        -vectors[inside][order] if directions else None,
    )


_MANY_BINS = 2000
"""Of so many bins that hold no atoms, vesin may end the process (division by zero in 0.6)."""


def _is_sparse(atoms: Atoms, cutoff: float) -> bool:
    """Return whether most of the space is far from all atoms, in a periodic structure."""
    if not atoms.pbc.any():
        return False
    dual = dual_vectors(np.asarray(atoms.cell)[np.flatnonzero(atoms.pbc)])
    heights = 1 / np.linalg.norm(dual, axis=0)
    # The largest extents stand for the directions that are not periodic.
    extents = np.sort(np.ptp(atoms.positions, axis=0))[len(heights) :]
    bins = np.maximum(np.concatenate((heights, extents)) / cutoff, 1.0).prod()
    return bool(bins > max(_MANY_BINS, 4 * len(atoms)))


def _without_bins(atoms: Atoms, cutoff: float) -> tuple[Any, Any, FloatArray, FloatArray]:
    """Return receivers, senders, distances and vectors from receiver to sender."""
    pairs = near_pairs(atoms, cutoff)
    return (
        np.concatenate((pairs.first, pairs.second)),
        np.concatenate((pairs.second, pairs.first)),
        np.concatenate((pairs.distances, pairs.distances)),
        np.concatenate((pairs.vectors, -pairs.vectors)),
    )


_importing = threading.Lock()


@cache
def _neighbour_list() -> Any:
    """Return vesin's search, without the torch that vesin imports wherever it is installed.

    It takes longer to import than a small molecule takes to predict.
    """
    with _importing:
        if "vesin" in sys.modules or "torch" in sys.modules:
            import vesin

            return vesin.NeighborList
        sys.modules["torch"] = None  # type: ignore[assignment]
        try:
            import vesin

            return vesin.NeighborList
        finally:
            del sys.modules["torch"]
            # Whoever imports vesin for himself gets it with torch.
            for name in [n for n in list(sys.modules) if n.partition(".")[0] == "vesin"]:
                del sys.modules[name]


def edges_to_points(
    image_atoms: NDArray[np.int64],
    image_positions: FloatArray,
    points: FloatArray,
    cutoff: float,
    *,
    directions: bool = False,
) -> EdgeArrays:
    """Return the edges from given image atoms to points, by comparing all pairs.

    Args:
        image_atoms: (m,) atom that each image belongs to.
        image_positions: (m, 3) Å.
        points: (n, 3) Å.
        cutoff: reach of an atom, Å.
        directions: whether the edges shall have vectors.
    """
    offsets = np.empty(len(points) + 1, np.int64)
    _count_pairs(points, image_positions, cutoff, offsets)
    senders = np.empty(offsets[-1], np.int32)
    distances = np.empty(offsets[-1], np.float64)
    vectors = np.empty((offsets[-1] if directions else 0, 3), np.float64)
    _fill_pairs(points, image_positions, image_atoms, cutoff, offsets, senders, distances, vectors)
    return EdgeArrays(senders, offsets, distances, vectors if directions else None)


@compiled
def _count_pairs(points: Any, positions: Any, cutoff: float, offsets: Any) -> None:
    limit = cutoff * cutoff
    offsets[0] = 0
    for p in range(points.shape[0]):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        count = 0
        for a in range(positions.shape[0]):
            dx, dy, dz = positions[a, 0] - x, positions[a, 1] - y, positions[a, 2] - z
            if dx * dx + dy * dy + dz * dz < limit:
                count += 1
        offsets[p + 1] = offsets[p] + count


@compiled
def _fill_pairs(
    points: Any, positions: Any, atoms: Any, cutoff: float, offsets: Any, senders: Any,
    distances: Any, vectors: Any,
) -> None:  # fmt: skip
    limit = cutoff * cutoff
    with_vectors = vectors.shape[0] > 0
    for p in range(points.shape[0]):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        edge = offsets[p]
        for a in range(positions.shape[0]):
            dx, dy, dz = positions[a, 0] - x, positions[a, 1] - y, positions[a, 2] - z
            squared = dx * dx + dy * dy + dz * dz
            if squared < limit:
                senders[edge] = atoms[a]
                distances[edge] = np.sqrt(squared)
                if with_vectors:
                    vectors[edge, 0], vectors[edge, 1], vectors[edge, 2] = -dx, -dy, -dz
                edge += 1
