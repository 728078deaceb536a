"""From a zarr group to any other format, in memory of a few layers of chunks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.slab_writer import take_layers
from deepdft.levels import LevelOfTheory
from deepdft.storage.density_group import VALUES, open_density_group, read_grid, read_structure

LARGEST_SLAB = 1 << 25
"""Points held at once, unless a single layer has more."""


def stream_to_file(
    store: str | Path,
    path: str | Path,
    *,
    largest_slab: int = LARGEST_SLAB,
    progress: Callable[[int], None] | None = None,
    **options: Any,
) -> None:
    """Convert a finished zarr group to another format, slab by slab.

    A slab is as thick as a chunk where memory allows, so that each chunk is decompressed once.

    Args:
        store: the zarr group, with one spin channel.
        path: file to write; the format follows from its name.
        largest_slab: points held in memory at once; a single layer of points always is.
        progress: told how many further points are done.
        options: of the format's writer, see `deepdft.formats.open_writer`.

    Raises:
        FileFormatError: if the store is damaged or not finished.
        ConfigurationError: if it holds a spin density, or the file cannot be written.
    """
    from deepdft.formats import open_writer

    group, about = open_density_group(store)
    if "spin" in group:
        raise ConfigurationError(
            f"{store} holds a spin density, which is not streamed; use deepdft.read and write."
        )
    values, grid = group[VALUES], read_grid(group, about)
    level = LevelOfTheory.from_dict(about.get("level", {}))
    with open_writer(path, read_structure(group, about), grid, level=level, **options) as writer:
        axis = writer.axis
        per_layer = grid.n_points // grid.shape[axis]
        thickness = min(values.chunks[axis], max(1, largest_slab // per_layer))
        for start in range(0, grid.shape[axis], thickness):
            slab = _load(values, axis, start, min(start + thickness, grid.shape[axis]), store)
            writer.write_slab(slab)
            if progress is not None:
                progress(slab.size)


def _load(
    values: Any, axis: int, start: int, stop: int, store: str | Path
) -> NDArray[np.floating[Any]]:
    try:
        return np.asarray(take_layers(values, axis, start, stop))
    except (ValueError, RuntimeError, OSError) as error:  # from a checksum, the codec, the disk
        raise FileFormatError(f"{store} is damaged: {error}") from None
