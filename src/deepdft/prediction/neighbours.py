"""Image atoms near a block of probes, from one cell list."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.images import images_in_reach

FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]


class NeighbourhoodSearch:
    """Finds the image atoms within a cutoff of any box inside a region.

    All images that reach the region are listed once and sorted into cubic bins; a query looks at
    the bins that its box touches.

    Args:
        atoms: the structure.
        lower: (3,) smallest coordinates of the region, Å.
        upper: (3,) largest coordinates of the region, Å.
        cutoff: reach of an atom, Å.
    """

    def __init__(self, atoms: Atoms, lower: FloatArray, upper: FloatArray, cutoff: float) -> None:
        images = images_in_reach(atoms.positions, atoms.cell, atoms.pbc, lower, upper, cutoff)
        self.cutoff = cutoff
        self._atoms = images.atoms
        self._positions = images.positions
        self._origin = lower - cutoff
        extent = np.maximum(upper - lower + 2 * cutoff, 1e-6)
        # No finer than the cutoff, and no more bins than a few times the images.
        largest = max(1, int(np.ceil((4 * len(images.atoms) + 1) ** (1 / 3))))
        self._counts = np.clip((extent / cutoff).astype(np.int64), 1, largest)
        self._width = extent / self._counts
        index = self._bin_of(self._positions)
        flat = np.ravel_multi_index(tuple(index.T), tuple(self._counts))
        self._order = np.argsort(flat, kind="stable")
        n_bins = int(np.prod(self._counts))
        self._starts = np.searchsorted(flat[self._order], np.arange(n_bins + 1))

    def _bin_of(self, positions: FloatArray) -> IntegerArray:
        index = np.floor((positions - self._origin) / self._width).astype(np.int64)
        clipped: IntegerArray = np.clip(index, 0, self._counts - 1)
        return clipped

    def near(self, lower: FloatArray, upper: FloatArray) -> tuple[IntegerArray, FloatArray]:
        """Return the images within the cutoff of the box [lower, upper].

        Returns:
            Atom indices (m,) and positions (m, 3) in Å, always in the same relative order.
        """
        low = self._bin_of(lower - self.cutoff)
        high = self._bin_of(upper + self.cutoff)
        pieces = []
        for x in range(low[0], high[0] + 1):
            for y in range(low[1], high[1] + 1):
                row = (x * self._counts[1] + y) * self._counts[2]
                first, last = self._starts[row + low[2]], self._starts[row + high[2] + 1]
                pieces.append(self._order[first:last])
        # Sorted, so that sums over atoms have the same order in every block.
        candidates = np.sort(np.concatenate(pieces))
        positions = self._positions[candidates]
        outside = np.maximum(0.0, np.maximum(lower - positions, positions - upper))
        kept = (outside**2).sum(axis=1) < self.cutoff**2
        return self._atoms[candidates[kept]], positions[kept]
