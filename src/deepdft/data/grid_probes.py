"""Random probes of a density on a grid: uniform, or in proportion to its magnitude.

Points are counted in C order (z fastest), and every `BLOCK` consecutive ones are a block. The sums
of |rho| over the blocks tell which block a draw in proportion to |rho| falls into; only that block
is then looked at. So neither memory nor time of a draw grow with the grid.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.compilation import compiled
from deepdft.data.dataset import Probes
from deepdft.data.training_store_layout import BLOCK
from deepdft.density import Grid
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.graphs import probe_edges

Places = NDArray[np.int64]


class GridValues(ABC):
    """The values of a density on its grid, wherever they are kept.

    Args:
        n_points: how many.
        block_sums: (ceil(n_points / BLOCK),) sum of the magnitudes in each block.
    """

    def __init__(self, n_points: int, block_sums: FloatArray) -> None:
        self.n_points = n_points
        self._running = np.concatenate(([0.0], np.cumsum(block_sums)))

    @property
    def magnitude(self) -> float:
        """Sum of |rho| over all points, e/Å^3."""
        return float(self._running[-1])

    @abstractmethod
    def take(self, places: Places) -> FloatArray:
        """Return the values at flat indices (n,), float64."""

    @abstractmethod
    def blocks(self, numbers: Places) -> NDArray[np.floating[Any]]:
        """Return whole blocks (n, BLOCK); what follows the last point of the grid is arbitrary."""

    def find(self, sums: FloatArray) -> Places:
        """Return the first points at which the running sum of |rho| exceeds `sums` (n,)."""
        last = len(self._running) - 2
        numbers = np.searchsorted(self._running, sums, side="right") - 1
        numbers = np.clip(numbers, 0, last).astype(np.int64)
        needed, rows = np.unique(numbers, return_inverse=True)
        counts = np.minimum(BLOCK, self.n_points - needed * BLOCK)
        within = np.empty(len(sums), np.int64)
        _find_in_blocks(self.blocks(needed), counts, rows, sums - self._running[numbers], within)
        return numbers * BLOCK + within


class LoadedValues(GridValues):
    """Values in memory.

    Args:
        values: (nx, ny, nz), C-contiguous.
    """

    def __init__(self, values: NDArray[np.floating[Any]]) -> None:
        self._flat = values.reshape(-1)
        super().__init__(self._flat.size, sums_of_blocks(self._flat))

    def take(self, places: Places) -> FloatArray:
        """Return the values at flat indices (n,), float64."""
        return self._flat[places].astype(np.float64)

    def blocks(self, numbers: Places) -> NDArray[np.floating[Any]]:
        """Return whole blocks (n, BLOCK)."""
        places = numbers[:, None] * BLOCK + np.arange(BLOCK)
        found: NDArray[np.floating[Any]] = self._flat[places.clip(max=self.n_points - 1)]
        return found


def sums_of_blocks(flat: NDArray[np.floating[Any]]) -> FloatArray:
    """Return the sum of the magnitudes in each block of values (n,), the last perhaps shorter."""
    whole = len(flat) // BLOCK
    sums = np.empty(-(-len(flat) // BLOCK))
    for first in range(0, whole, BLOCK):
        rows = flat[first * BLOCK : min(first + BLOCK, whole) * BLOCK].reshape(-1, BLOCK)
        sums[first : first + len(rows)] = np.abs(rows).sum(axis=1, dtype=np.float64)
    if whole < len(sums):
        sums[whole] = np.abs(flat[whole * BLOCK :]).sum(dtype=np.float64)
    return sums


@compiled
def _find_in_blocks(blocks: Any, counts: Any, rows: Any, sums: Any, within: Any) -> None:
    for draw in range(rows.shape[0]):
        row = rows[draw]
        running = 0.0
        chosen = 0
        for point in range(counts[row]):
            size = abs(blocks[row, point])
            # A point without density is never chosen, whatever rounding says.
            if size > 0.0:
                chosen = point
                running += size
                if running > sums[draw]:
                    break
        within[draw] = chosen


def draw_from_grid(
    values: GridValues,
    atoms: Atoms,
    grid: Grid,
    count: int,
    generator: np.random.Generator,
    *,
    cutoff: float,
    importance: float,
) -> Probes:
    """Draw grid points within `cutoff` (Å) of an atom.

    Args:
        values: the density on the grid.
        atoms: the structure.
        grid: the points.
        count: number of points.
        generator: source of randomness.
        cutoff: points with no atom closer than this are never drawn.
        importance: fraction drawn in proportion to |rho|.

    Raises:
        UnsupportedStructureError: if no grid point has an atom in reach.
    """
    n_points, magnitude = values.n_points, values.magnitude
    n_large = min(round(importance * count), count - 1) if magnitude > 0 else 0
    chosen, in_reach = _drawn_in_reach(
        atoms, grid, count - n_large, cutoff, lambda n: generator.integers(n_points, size=n)
    )
    if not n_large:
        return Probes(grid_points(grid, chosen), values.take(chosen), np.ones(count))
    large, large_in_reach = _drawn_in_reach(
        atoms, grid, n_large, cutoff, lambda n: values.find(generator.random(n) * magnitude)
    )
    chosen = np.concatenate((chosen, large))
    drawn = values.take(chosen)
    # How much likelier than a uniform draw from the points in reach a large one hits a point.
    relative = np.abs(drawn) * (n_points * in_reach / (magnitude * large_in_reach))
    fraction = n_large / count
    return Probes(grid_points(grid, chosen), drawn, 1.0 / (1.0 - fraction + fraction * relative))


def _drawn_in_reach(
    atoms: Atoms, grid: Grid, count: int, cutoff: float, draw: Callable[[int], Places]
) -> tuple[Places, float]:
    """Draw grid points until `count` have an atom in reach.

    Returns:
        Flat indices (count,) and the fraction of all drawn points that had one.

    Raises:
        UnsupportedStructureError: if no grid point has an atom in reach.
    """
    kept: list[Places] = []
    n_kept = n_tried = 0
    size = max(count, 256)
    while n_kept < count:
        trial = draw(size)
        trial = trial[probe_edges(atoms, grid_points(grid, trial), cutoff).in_reach.numpy()]
        kept.append(trial)
        n_kept += len(trial)
        n_tried += size
        if n_kept == 0 and n_tried > 20 * grid.n_points:
            raise UnsupportedStructureError(
                f"The density of {atoms.get_chemical_formula()} has no grid point within "
                f"{cutoff} Å of an atom; atoms and grid do not belong together."
            )
        size = min(2 * size, 1 << 16)
    return np.concatenate(kept)[:count], n_kept / n_tried


def grid_points(grid: Grid, flat_indices: Places) -> FloatArray:
    """Return the points (n, 3) with given flat indices, Å."""
    ijk = np.stack(np.unravel_index(flat_indices, grid.shape), axis=1)
    points: FloatArray = grid.origin + (ijk / np.array(grid.shape)) @ grid.cell
    return points
