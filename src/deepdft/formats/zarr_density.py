"""Densities as zarr groups, in the layout of `deepdft.storage.density_group`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.formats.quantities import as_asked
from deepdft.formats.slab_writer import SlabWriter, write_density
from deepdft.formats.source import Source
from deepdft.levels import LevelOfTheory
from deepdft.storage.chunked_density import require_no_writer
from deepdft.storage.damage import DAMAGE, reason_of, reported
from deepdft.storage.density_group import (
    VALUES,
    create_density_group,
    is_density_group,
    open_density_group,
    read_grid,
    read_structure,
    storable,
)
from deepdft.storage.replace import replacing
from deepdft.storage.zarr_metadata import require_held

CHUNK = 32
"""Points along each edge of a chunk."""

_WAITING = 1 << 27
"""Values that wait in memory for the rest of their chunks: chunks of large grids are thinner."""


def sniff(head: bytes) -> bool:
    """Return False: a zarr group is a directory, known by its name or by zarr.json within."""
    return False


def read(source: Source, *, lazy: bool = False, quantity: str | None = None) -> Density:
    """Read a density from a zarr group.

    Args:
        source: the directory.
        lazy: whether `values` shall be a dask array, of which only what is used is loaded.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the directory is no zarr group, is damaged, holds something else, or a
            prediction has not finished filling it.
    """
    group, about = open_density_group(source.local)
    load = _lazily if lazy else _whole
    try:
        for name in (VALUES, "spin"):
            if name in group and not lazy:
                require_held(os.path.join(source.local, name), group[name])
        values = load(group[VALUES])
        spin = load(group["spin"]) if "spin" in group else None
        if not lazy:
            _require_finite(values, spin)
        density = Density(
            read_structure(group, about),
            read_grid(group, about),
            values,
            spin,
            LevelOfTheory.from_dict(about.get("level", {})),
            {"notes": [], **about.get("metadata", {})},
        )
    except (*DAMAGE, DeepDFTError) as error:
        raise FileFormatError(
            f"{source.path} is not a density in a zarr group, or damaged: {reason_of(error)}"
        ) from None
    return as_asked(source.path, density, quantity)


def read_preview(source: Source, **_: Any) -> Atoms:
    """Return the structure of a zarr group, without the values."""
    with reported(source.path):
        return read_structure(*open_density_group(source.local))


def _whole(array: Any) -> NDArray[Any]:
    return np.asarray(array[...])


def _require_finite(values: NDArray[Any], spin: NDArray[Any] | None) -> None:
    # Where a chunk is missing, zarr fills in what its metadata say, which may be NaN.
    for array in (values, spin):
        if array is not None and not np.isfinite(array).all():
            raise FileFormatError("a value is not finite, or missing.")


def _lazily(array: Any) -> Any:
    import dask.array

    from_array: Any = dask.array.from_array
    return from_array(array, chunks=array.chunks)


class ZarrWriter(SlabWriter):
    """Writes a zarr group slab by slab along the first axis."""

    axis = 0

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
        metadata: dict[str, Any] | None = None,
        spin: NDArray[np.floating[Any]] | None = None,
        dtype: Any = np.float64,
    ) -> None:
        """See `deepdft.formats.open_writer`; `dtype` is how the values are stored."""
        super().__init__(path, grid)
        folder, name = os.path.split(os.path.realpath(path))
        if not os.path.isdir(folder):
            raise ConfigurationError(f"There is no folder {folder} to write {name} into.")
        self._require_replaceable()
        known = dict(metadata or {}) | ({"comment": comment} if comment else {})
        self._dtype = np.dtype(dtype)
        per_layer = grid.shape[1] * grid.shape[2]
        thickness = max(1, min(CHUNK, _WAITING // per_layer))
        self._chunks = (min(thickness, grid.shape[0]), *(min(CHUNK, n) for n in grid.shape[1:]))
        self._create: dict[str, Any] = {
            "atoms": atoms,
            "grid": grid,
            "chunk_shape": self._chunks,
            "dtype": self._dtype,
            "spin": spin,
            "level": level,
            "attributes": {"metadata": storable(known)},
        }

    def _require_replaceable(self) -> None:
        """Raise an error unless what is at the path is nothing, or a density and nothing else."""
        if not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir())):
            return
        if not is_density_group(self.path):
            raise ConfigurationError(
                f"{self.path} exists and is not a density in a zarr group, so it is not replaced; "
                "give another name or delete it."
            )
        require_no_writer(self.path)

    def _begin(self) -> None:
        with ExitStack() as stack:
            place = stack.enter_context(replacing(self.path))
            self._array = create_density_group(place, **self._create)[VALUES]
            self._stack = stack.pop_all()
        # Layers wait here until they fill a row of chunks: a chunk is written once.
        self._waiting = np.empty((self._chunks[0], *self.grid.shape[1:]), dtype=self._dtype)
        self._written = 0

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        for layer in values:
            self._waiting[self._written % len(self._waiting)] = layer
            self._written += 1
            if self._written % len(self._waiting) == 0:
                self._flush(len(self._waiting))

    def _flush(self, count: int) -> None:
        self._array[self._written - count : self._written] = self._waiting[:count]

    def _finish(self) -> None:
        rest = self._written % len(self._waiting)
        if rest:
            self._flush(rest)
        self._require_replaceable()
        self._stack.close()

    def _abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> ZarrWriter:
    """Return a writer of a zarr group; see `ZarrWriter` for the options."""
    return ZarrWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density, *, comment: str | None = None) -> None:
    """Write a density, its spin density and its metadata as a zarr group, exactly."""
    options: dict[str, Any] = {"level": density.level, "metadata": density.metadata}
    options.update(comment=comment or "", spin=density.spin, dtype=density.values.dtype)
    write_density(ZarrWriter(path, density.atoms, density.grid, **options), density)
