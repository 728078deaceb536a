"""Edges by trying every image: slow, short and independent of the package."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ase import Atoms


class BruteEdges(NamedTuple):
    """Edges with the image they come from; sorted by receiver, sender and distance."""

    receivers: np.ndarray
    senders: np.ndarray
    distances: np.ndarray
    shifts: np.ndarray


def _ranges(atoms: Atoms, points: np.ndarray, cutoff: float) -> list[range]:
    """Shifts along each vector that are more than enough."""
    periodic = np.flatnonzero(atoms.pbc)
    ranges = [range(0, 1)] * 3
    if len(periodic) == 0:
        return ranges
    # Heights of the cell over its other periodic vectors.
    heights = 1.0 / np.linalg.norm(np.linalg.pinv(np.asarray(atoms.cell)[periodic]), axis=0)
    both = np.concatenate((atoms.positions, points))
    span = np.linalg.norm(np.ptp(both, axis=0))
    for direction, height in zip(periodic, heights, strict=True):
        n = int(np.ceil((cutoff + span) / height)) + 1
        ranges[direction] = range(-n, n + 1)
    return ranges


def brute_force_edges(atoms: Atoms, points: np.ndarray | None, cutoff: float) -> BruteEdges:
    """Return the edges from atoms to points, or to the atoms themselves where `points` is None."""
    among_atoms = points is None
    targets = atoms.positions if points is None else points
    cell = np.asarray(atoms.cell)
    found: list[tuple[int, int, float, tuple[int, int, int]]] = []
    along_a, along_b, along_c = _ranges(atoms, targets, cutoff)
    for i in along_a:
        for j in along_b:
            for k in along_c:
                images = atoms.positions + i * cell[0] + j * cell[1] + k * cell[2]
                distances = np.linalg.norm(targets[:, None] - images[None], axis=2)
                for receiver, sender in np.argwhere(distances < cutoff):
                    if among_atoms and receiver == sender and i == j == k == 0:
                        continue
                    distance = float(distances[receiver, sender])
                    found.append((int(receiver), int(sender), distance, (i, j, k)))
    found.sort()
    return BruteEdges(
        np.array([edge[0] for edge in found], dtype=np.int64),
        np.array([edge[1] for edge in found], dtype=np.int64),
        np.array([edge[2] for edge in found]),
        np.array([edge[3] for edge in found], dtype=np.int64).reshape(-1, 3),
    )


def gap_to_cutoff(atoms: Atoms, points: np.ndarray, cutoff: float) -> np.ndarray:
    """Return how far each point's distances to all images stay from the cutoff, (points,) Å."""
    edges = brute_force_edges(atoms, points, cutoff + 0.1)
    gaps = np.full(len(points), 0.1)
    np.minimum.at(gaps, edges.receivers, np.abs(edges.distances - cutoff))
    return gaps


def points_off_cutoff(atoms: Atoms, points: np.ndarray, cutoff: float) -> np.ndarray:
    """Return the points whose distances all stay 1e-6 Å away from the cutoff.

    The published soft cutoff jumps there, so rounding could switch an edge. Of the atoms' own
    distances the same is required.
    """
    among_atoms = brute_force_edges(atoms, None, cutoff + 0.1).distances
    assert np.abs(among_atoms - cutoff).min(initial=1.0) > 1e-6
    return points[gap_to_cutoff(atoms, points, cutoff) > 1e-6]
