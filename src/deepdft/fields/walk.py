"""Walks over points, boxes and whole grids, the same for every field.

`walk` goes through a grid box by box; memory holds one box at a time, and reductions take part in
it. `BlockField` computes a box or a list of points from blocks of neighbouring points, with the
atoms near them, on threads.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.field import CheckedField, Derivatives, Field, OnBoxes, Order
from deepdft.geometry.blocks import block_points, block_shape, grid_blocks, spatial_groups
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.levels import LevelOfTheory

if TYPE_CHECKING:
    from deepdft.fields.reductions import Reductions

Box = tuple[Index, Index]
"""First indices and last indices + 1 of a part of a grid."""

Progress = Callable[[int], None]
"""Told how many further points are done."""

SLAB_POINTS = 800_000
"""Points of a slab: 6 MB, and what a file makes of them."""

LARGEST_LAYER = 10**8
"""Points of a layer: a grid of 10,000^3 has such. A slab takes some 2 GB then."""

_BLOCK_LAYERS = (32, 8)
"""Layers of the blocks of fields, on a GPU and on a CPU: slabs are whole blocks thick."""

Run = Callable[[Callable[[Any], None], Sequence[Any]], None]
"""Calls a function with each of some items, in any order or at the same time."""

Values = TypeVar("Values")

Block = Callable[[FloatArray, NeighbourhoodSearch], Values]
"""Computes values at points (n, 3), Å, that lie near each other."""

Assign = Callable[[Any, Values, Sequence[int]], None]
"""Puts a block's values, to be reshaped, to a place of the result."""


def into(result: FloatArray) -> Assign[FloatArray]:
    """Return what puts values into an array."""

    def assign(place: Any, values: FloatArray, shape: Sequence[int]) -> None:
        result[place] = values.reshape(shape)

    return assign


def slabs(grid: Grid, axis: int = 0, points: int = SLAB_POINTS) -> Iterator[Box]:
    """Yield boxes of whole layers along an axis that cover a grid, of about `points` points.

    A slab has one layer or more. It is whole blocks thick where these have no more than four times
    as many points.

    Raises:
        ConfigurationError: if a single layer has more than `LARGEST_LAYER` points.
    """
    layers = grid.shape[axis]
    per_layer = grid.n_points // layers
    if per_layer > LARGEST_LAYER:
        raise ConfigurationError(
            f"A layer of this grid has {per_layer:.2e} points, and up to {LARGEST_LAYER:.0e} are "
            "held in memory at once; predict it into a zarr store (a name that ends in .zarr), "
            "whose blocks are small in all directions."
        )
    thickness = max(1, points // per_layer)
    whole = next((n for n in _BLOCK_LAYERS if n <= thickness), 1)
    thickness -= thickness % whole
    if whole == 1:
        thickness = max(1, min(_BLOCK_LAYERS[-1], 4 * points // per_layer))
    for first in range(0, layers, thickness):
        start, stop = [0, 0, 0], list(grid.shape)
        start[axis], stop[axis] = first, min(first + thickness, layers)
        yield (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])


def require_memory(grid: Grid) -> None:
    """Refuse a grid whose values, in double precision, take more memory than the machine has.

    Raises:
        ConfigurationError: if they do.
    """
    if not hasattr(os, "sysconf"):
        return
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 8 * grid.n_points > memory:
        raise ConfigurationError(
            f"A grid of {grid.n_points:.2e} points takes {grid.n_points >> 27} GiB of memory, and "
            f"this machine has {memory >> 30}; predict it into a file (predict_to_file), block by "
            "block, or take a larger spacing."
        )


@overload
def walk(
    field: OnBoxes, grid: Grid, boxes: Iterable[Box], reductions: Reductions | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[Index, Index, NDArray[np.floating[Any]]]]: ...  # fmt: skip
@overload
def walk(
    field: Field, grid: Grid, boxes: Iterable[Box], reductions: Reductions | None = None,
    progress: Progress | None = None, *, order: Literal[1, 2],
) -> Iterator[tuple[Index, Index, Derivatives]]: ...  # fmt: skip
def walk(
    field: Any, grid: Grid, boxes: Iterable[Box], reductions: Reductions | None = None,
    progress: Progress | None = None, *, order: Order = 0,
) -> Iterator[tuple[Index, Index, Any]]:  # fmt: skip
    """Go through boxes of a grid and yield (start, stop, values) of each.

    Args:
        field: what is evaluated; only a `Field` has derivatives.
        grid: the points.
        boxes: parts of the grid that do not overlap, see `slabs`.
        reductions: take in the values of every box.
        progress: called with the number of points of every box.
        order: of the derivatives that are wanted as well.
    """
    for start, stop in boxes:
        found = field.box(grid, start, stop, order) if order else field.box(grid, start, stop)
        values = found.value if order else found
        if reductions is not None:
            reductions.add(grid, start, stop, values)
        if progress is not None:
            progress(values.size)
        yield start, stop, found


def values_on(
    field: OnBoxes, grid: Grid, reductions: Reductions | None = None,
    progress: Progress | None = None,
) -> FloatArray:  # fmt: skip
    """Return the values of a field on a whole grid, in memory; see `walk`.

    Raises:
        ConfigurationError: if they take more memory than the machine has.
    """
    require_memory(grid)
    values = np.empty(grid.shape)
    for start, stop, slab in walk(field, grid, slabs(grid), reductions, progress):
        values[start[0] : stop[0]] = slab
    return values


def density_on(
    field: Field, grid: Grid, reductions: Reductions | None = None,
    progress: Progress | None = None,
) -> Density:  # fmt: skip
    """Return a field on a whole grid as a density.

    Args:
        field: the field.
        grid: the points.
        reductions: take in the values; what comes together is kept in the density's metadata,
            under "properties".
        progress: called with the number of points done.
    """
    values = values_on(field, grid, reductions, progress)
    about = {} if reductions is None else {"properties": reductions.results()}
    return Density(field.atoms, grid, values, level=field.level, metadata=about)


class BlockWalk:
    """Goes through points or grids of one structure block by block.

    Args:
        atoms: the structure.
        reach: largest distance between a point and an atom that matters to it, Å.
        run: does the blocks.
    """

    def __init__(self, atoms: Atoms, reach: float, run: Run) -> None:
        self._atoms = atoms
        self._reach = reach
        self._run = run
        self._last_search: tuple[Grid, NeighbourhoodSearch | None] | None = None

    def points(
        self, positions: FloatArray, size: int, block: Block[Values], assign: Assign[Values]
    ) -> None:
        """Go through points (n, 3), Å, in blocks of at most `size`."""
        if len(positions) == 0:
            return
        search = self.search(positions)

        def fill(chosen: NDArray[np.int64]) -> None:
            assign(chosen, block(positions[chosen], search), (len(chosen),))

        self._run(fill, spatial_groups(positions, size))

    def grid(
        self, grid: Grid, start: Index, stop: Index, size: int, block: Block[Values],
        assign: Assign[Values],
    ) -> None:  # fmt: skip
        """Go through the index box start:stop of a grid in blocks of about `size` points.

        Blocks without an atom in reach are left out; finding them takes no time. Places are
        counted from `start`.
        """
        if any(low >= high for low, high in zip(start, stop, strict=True)):
            return
        extent = [high - low for low, high in zip(start, stop, strict=True)]
        blocks = grid_blocks(grid, start, stop, block_shape(grid, size, extent))
        search = self._grid_search(grid, blocks.lower.min(axis=0), blocks.upper.max(axis=0))
        origin = np.array(start)

        def fill(number: int) -> None:
            first, last = blocks.first[number], blocks.last[number]
            place = tuple(slice(a, b) for a, b in zip(first - origin, last - origin, strict=True))
            assign(place, block(block_points(grid, first, last), search), last - first)

        self._run(fill, np.flatnonzero(search.occupied(blocks.lower, blocks.upper)).tolist())

    def search(self, positions: FloatArray) -> NeighbourhoodSearch:
        """Return a search for the box around points."""
        return self._search(positions.min(axis=0), positions.max(axis=0))

    def grid_search(self, grid: Grid, start: Index, stop: Index) -> NeighbourhoodSearch:
        """Return a search for a part of a grid; from the second part on, one for all of it.

        Otherwise each of the slabs of a large structure would go through all its atoms.
        """
        part = grid_blocks(grid, start, stop, grid.shape)
        return self._grid_search(grid, part.lower.min(axis=0), part.upper.max(axis=0))

    def _grid_search(self, grid: Grid, lower: FloatArray, upper: FloatArray) -> NeighbourhoodSearch:
        last = self._last_search
        if last is None or last[0] is not grid:
            self._last_search = (grid, None)
            return self._search(lower, upper)
        if last[1] is not None:
            return last[1]
        whole = grid_blocks(grid, (0, 0, 0), grid.shape, grid.shape)
        # Wider by more than rounding, so that it holds the boxes of all blocks.
        search = self._search(whole.lower[0] - 1e-6, whole.upper[0] + 1e-6)
        self._last_search = (grid, search)
        return search

    def _search(self, lower: FloatArray, upper: FloatArray) -> NeighbourhoodSearch:
        return NeighbourhoodSearch(self._atoms, lower, upper, self._reach)


class BlockField(CheckedField):
    """A field that is evaluated block by block: a `Field` from what its `block` returns.

    Args:
        atoms: the structure.
        level: level of theory.
        reach: largest distance between a point and an atom that matters to it, Å.
        run: does the blocks.
        block_points: points of a block, by order of the derivatives; there are as many orders.
    """

    def __init__(
        self, atoms: Atoms, level: LevelOfTheory, reach: float, run: Run,
        block_points: Sequence[int],
    ) -> None:  # fmt: skip
        self.atoms = atoms
        self.level = level
        self._block_points = block_points
        self._walk = BlockWalk(atoms, reach, run)

    @property
    def largest_order(self) -> Order:
        """Largest order of derivatives that it has."""
        return (0, 1, 2)[len(self._block_points) - 1]

    @abstractmethod
    def block(
        self, points: FloatArray, search: NeighbourhoodSearch, order: Order
    ) -> FloatArray | Derivatives:
        """Return the values at points (n, 3), Å, that lie near each other."""

    def empty(self, shape: Sequence[int], order: Order) -> FloatArray | Derivatives:
        """Return the values at points of some shape that no atom reaches."""
        return Derivatives.zeros(shape, order) if order else np.zeros(shape)

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        positions = moved_into_cell(points, self.atoms)
        result = self.empty((len(positions),), order)
        size = self._block_points[order]
        self._walk.points(positions, size, self._block_of(order), _into(result))
        return result

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        result = self.empty([high - low for low, high in zip(start, stop, strict=True)], order)
        size = self._block_points[order]
        self._walk.grid(grid, start, stop, size, self._block_of(order), _into(result))
        return result

    def _block_of(self, order: Order) -> Block[Any]:
        return lambda points, search: self.block(points, search, order)


def _into(result: FloatArray | Derivatives) -> Assign[Any]:
    return result.assign if isinstance(result, Derivatives) else into(result)
