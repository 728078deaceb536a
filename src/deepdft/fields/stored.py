"""A field whose values are kept in a store, block by block."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Index
from deepdft.density import Grid
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions import Reductions
from deepdft.fields.walk import Progress, walk
from deepdft.storage.chunked_density import ChunkedDensity


class StoredField:
    """A field on the blocks of a store: computed and written where they are not there.

    Args:
        store: the store.
        field: what it holds.
    """

    def __init__(self, store: ChunkedDensity, field: OnBoxes) -> None:
        self.store = store
        self._field = field

    def box(self, grid: Grid, start: Index, stop: Index) -> NDArray[np.float32]:
        """Return the values of a block as stored, e/Å^3."""
        block = self.store.chunk_at(start)
        values = self.store.read_chunk(block)
        if values is None:
            values = self.store.write_chunk(block, self._field.box(grid, start, stop))
        return values

    def walk(
        self, blocks: Iterable[int], properties: Reductions | None = None,
        progress: Progress | None = None,
    ) -> None:  # fmt: skip
        """Go through blocks, so that they are there afterwards; see `deepdft.fields.walk.walk`."""
        for _ in walk(self, self.store.grid, map(self.store.box, blocks), properties, progress):
            pass
