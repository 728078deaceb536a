"""A zarr group that is filled chunk by chunk, in any order, by any number of processes.

The layout is that of `deepdft.storage.density_group`, of single precision. The attribute `finished`
is false until the last chunk is there; until then points without a chunk read as NaN.

A chunk is there whole or not at all: its file is written elsewhere and renamed. It ends in a
checksum, so that damage done by other means (a full disk, a power cut) is found by reading it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import Index
from deepdft.density import Grid
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.failures import RefusedBySystemError, unwritable
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import DAMAGE, reason_of
from deepdft.storage.density_group import (
    FORMAT,
    METADATA,
    VALUES,
    VERSION,
    codecs,
    create_density_group,
    open_plain_group,
    read_grid,
    read_structure,
)
from deepdft.storage.locks import sole_writer
from deepdft.storage.replace import replacing, synchronise
from deepdft.storage.whole_files import replace_locked

_WORK = "unfinished"
_LOCK = "lock"
_DTYPE = np.dtype("<f4")


class ChunkedDensity:
    """A density on disk, float32 in e/Å^3, as chunks that are numbered in C order.

    Attributes:
        path: the directory.
        attributes: attributes of the group, as they were when it was opened or last updated.
        grid: the points.
        chunk_shape: points along each axis of a chunk; chunks at the far faces may hold fewer.
        counts: number of chunks along each axis.
    """

    def __init__(self, path: str | Path) -> None:
        """Open an existing group.

        Raises:
            FileFormatError: if there is none, or it was not made by `create`.
        """
        self.path = Path(path)
        try:
            group = open_plain_group(self.path)
            array: Any = group[VALUES]
            self.attributes: dict[str, Any] = dict(group.attrs)
            made = [self.attributes.get(key) for key in ("format", "version")]
            if made != [FORMAT, VERSION] or "finished" not in self.attributes:
                raise ValueError("it was written in another way.")
            self.grid = read_grid(group, self.attributes)
        except (*DAMAGE, DeepDFTError) as error:
            raise FileFormatError(
                f"{path} is not a density store that predictions can be written to: "
                f"{reason_of(error)}"
            ) from None
        self._group, self._array = group, array
        cx, cy, cz = array.chunks
        self.chunk_shape: Index = (cx, cy, cz)
        nx, ny, nz = self.grid.shape
        self.counts: Index = (-(-nx // cx), -(-ny // cy), -(-nz // cz))

    @classmethod
    def create(
        cls,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        chunk_shape: Index,
        *,
        level: LevelOfTheory | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> Self:
        """Make an empty group; it appears complete with structure and attributes.

        Args:
            path: the directory, which must not exist.
            atoms: the structure.
            grid: the points.
            chunk_shape: points along each axis of a chunk.
            level: level of theory.
            attributes: more attributes, JSON-like.

        Raises:
            ConfigurationError: if the path exists or cannot be written to.
        """
        with replacing(path, new=True) as place:
            try:
                create_density_group(
                    place, atoms, grid, chunk_shape, level=level,
                    attributes={"finished": False} | (attributes or {}),
                )  # fmt: skip
            except OSError as error:
                raise RefusedBySystemError(unwritable(error, path)) from None
        return cls(path)

    @cached_property
    def atoms(self) -> Atoms:
        """The structure."""
        return read_structure(self._group, self.attributes)

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory."""
        return LevelOfTheory.from_dict(self.attributes.get("level", {}))

    @property
    def values(self) -> Any:
        """The zarr array (nx, ny, nz), e/Å^3; slices of it are NumPy arrays."""
        return self._array

    @property
    def n_chunks(self) -> int:
        """Number of chunks."""
        return self.counts[0] * self.counts[1] * self.counts[2]

    @property
    def work_folder(self) -> Path:
        """Where files are kept that are needed until the group is finished.

        Inside the array's folder, where zarr looks at nothing but chunks.
        """
        return self.path / VALUES / _WORK

    def box(self, chunk: int) -> tuple[Index, Index]:
        """Return the index box start:stop of a chunk."""
        place = np.unravel_index(chunk, self.counts)
        start = [int(i) * n for i, n in zip(place, self.chunk_shape, strict=True)]
        stop = [
            min(a + n, end)
            for a, n, end in zip(start, self.chunk_shape, self.grid.shape, strict=True)
        ]
        return (start[0], start[1], start[2]), (stop[0], stop[1], stop[2])

    def chunk_at(self, start: Index) -> int:
        """Return the number of the chunk that holds a grid point."""
        place = np.array(start) // np.array(self.chunk_shape)
        return int(np.ravel_multi_index(tuple(place), self.counts))

    def n_points(self, chunk: int) -> int:
        """Return how many grid points a chunk holds."""
        start, stop = self.box(chunk)
        return int(np.prod(np.subtract(stop, start)))

    def has_chunk(self, chunk: int) -> bool:
        """Return whether a chunk's file exists."""
        return self._chunk_path(chunk).exists()

    def read_chunk(self, chunk: int) -> NDArray[np.float32] | None:
        """Return the values of a chunk, or None if it is missing or damaged."""
        if not self.has_chunk(chunk):
            return None
        start, stop = self.box(chunk)
        try:
            values: NDArray[np.float32] = self._array[
                tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
            ]
        except (ValueError, RuntimeError, OSError):  # from the checksum, the codec, the disk
            return None
        return values if np.isfinite(values).all() else None

    def write_chunk(self, chunk: int, values: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Write a chunk, over what may be there; return the values as stored.

        The work folder must exist.

        Raises:
            ConfigurationError: if a value is not finite, or the disk does not take the file.
        """
        start, stop = self.box(chunk)
        stored = np.ascontiguousarray(values, dtype=_DTYPE)
        if stored.shape != tuple(np.subtract(stop, start)):
            raise ConfigurationError(f"Chunk {chunk} of {self.path} is not {stored.shape} points.")
        if not np.isfinite(stored).all():
            raise ConfigurationError(
                f"The density has values that are not finite at grid points {start} to {stop}; "
                f"nothing is written for them in {self.path}."
            )
        target = self._chunk_path(chunk)
        temporary = self.work_folder / f"{chunk}.{secrets.token_hex(6)}.part"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(_encoded(stored, self.chunk_shape))
            os.replace(temporary, target)
        except OSError as error:
            raise RefusedBySystemError(unwritable(error, self.path)) from None
        finally:
            temporary.unlink(missing_ok=True)
        return stored

    @contextmanager
    def sole_writer(self) -> Iterator[None]:
        """Keep other processes from filling the group; `attributes` are read once more.

        Raises:
            ConfigurationError: if another process is filling it.
        """
        taken = f"{self.path} is being filled by another process; wait until it has finished"
        with sole_writer(self.work_folder / _LOCK, taken):
            self.attributes = self._description()["attributes"]
            for left in self.work_folder.glob("[0-9]*.part"):
                left.unlink(missing_ok=True)
            yield
            if self.attributes["finished"]:
                shutil.rmtree(self.work_folder, ignore_errors=True)

    def finish(self, **attributes: Any) -> None:
        """Mark the group as finished; what was needed to fill it is removed.

        Args:
            attributes: more attributes, JSON-like.
        """
        synchronise(self.path)
        self.update_attributes(finished=True, **attributes)
        shutil.rmtree(self.work_folder, ignore_errors=True)

    def remove_leftovers(self) -> None:
        """Remove from a finished group what its last writer could not, as without descriptors."""
        if self.work_folder.exists():
            with suppress(ConfigurationError), self.sole_writer():  # which ends with that
                pass

    def update_attributes(self, **changes: Any) -> None:
        """Change attributes of the group, all or none; the caller is its only writer."""
        description = self._description()
        description["attributes"].update(changes)
        replace_locked(
            self.path / METADATA, json.dumps(description, indent=2).encode(), durable=True
        )
        self.attributes = description["attributes"]

    def _description(self) -> dict[str, Any]:
        known: dict[str, Any] = json.loads((self.path / METADATA).read_text(encoding="utf-8"))
        return known

    def _chunk_path(self, chunk: int) -> Path:
        i, j, k = np.unravel_index(chunk, self.counts)
        return self.path / VALUES / "c" / str(i) / str(j) / str(k)


def require_no_writer(path: str | Path) -> None:
    """Raise an error if a process is filling a group that is about to be replaced.

    Raises:
        ConfigurationError: if there is one.
    """
    folder = Path(path) / VALUES / _WORK
    if folder.is_dir():
        with sole_writer(folder / _LOCK, f"{path} is being filled by another process"):
            pass


def _encoded(values: NDArray[np.float32], chunk_shape: Index) -> bytes:
    """Return a chunk's file; points beyond the grid, in chunks at its faces, are NaN."""
    import zarr
    from zarr.storage import MemoryStore

    files: dict[str, Any] = {}
    array: Any = zarr.create_array(
        MemoryStore(files), shape=chunk_shape, chunks=chunk_shape, dtype=_DTYPE,
        compressors=codecs(), fill_value=float("nan"),
    )  # fmt: skip
    array[tuple(slice(0, n) for n in values.shape)] = values
    encoded: bytes = files["c/0/0/0"].to_bytes()
    return encoded
