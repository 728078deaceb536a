"""Arrays on disk that grow along their first axis and are read at random.

They are arrays of the zarr format, version 3 (https://zarr-specs.readthedocs.io), with chunks along
the first axis and no compression. A chunk's file is then nothing but its values, so that rows are
appended in place and picked out of a memory map; any program that reads zarr reads them too.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import math
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from deepdft.errors import FileFormatError
from deepdft.storage.damage import reported
from deepdft.storage.json_files import read_json
from deepdft.storage.mapped_file import map_file
from deepdft.storage.replace import synchronise_file
from deepdft.storage.whole_files import replace_locked

_CHUNK_BYTES = 1 << 24
"""Size of a chunk's file."""
_OPEN_MAPS = 1024
"""Chunks of an array that stay mapped into memory."""
METADATA = "zarr.json"


class StoredArray:
    """An array on disk, open for reading.

    Args:
        folder: holds `zarr.json` and the chunks.

    Attributes:
        rows: length of the first axis.
        row_shape: the other axes.
        dtype: type of the values.

    Raises:
        FileFormatError: if it is missing, damaged, or not laid out as `GrowingArray` does.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = os.fspath(folder)
        known = read_json(os.path.join(self.folder, METADATA))
        with reported(self.folder, "is not an array of a store"):
            self.rows, *row_shape = (int(n) for n in known["shape"])
            self.row_shape = tuple(row_shape)
            self.dtype = np.dtype(known["data_type"]).newbyteorder("<")
            self.chunk_rows = int(known["chunk_grid"]["configuration"]["chunk_shape"][0])
            self._require_sensible()
            expected = self._metadata()
        for key in ("zarr_format", "node_type", "chunk_grid", "chunk_key_encoding", "codecs"):
            if known.get(key) != expected[key]:
                raise FileFormatError(
                    f"{self.folder} has another {key} than the arrays of a store."
                )
        self._map = functools.lru_cache(maxsize=_OPEN_MAPS)(self._open_map)

    def _require_sensible(self) -> None:
        """Raise `ValueError` if the array claims more rows than its chunks on the disk hold."""
        if self.dtype.kind not in "iuf" or self.dtype.hasobject:
            raise ValueError("its values are no numbers")
        if self.chunk_rows < 1 or self.rows < 0 or min(self.row_shape, default=1) < 1:
            raise ValueError("a length is not positive")
        last = -(-self.rows // self.chunk_rows) - 1
        if self.rows and not os.path.exists(self._path(last)):
            raise ValueError(f"it claims {self.rows} rows, and its last chunk is not there")

    def __getstate__(self) -> str:
        return self.folder

    def __setstate__(self, folder: str) -> None:
        StoredArray.__init__(self, folder)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Return rows start..stop-1, a copy."""
        result = np.empty((stop - start, *self.row_shape), self.dtype.newbyteorder("="))
        done = start
        while done < stop:
            chunk, first = divmod(done, self.chunk_rows)
            count = min(self.chunk_rows - first, stop - done)
            result[done - start : done - start + count] = self._map(chunk)[first : first + count]
            done += count
        return result

    def take(self, places: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows at `places` (n,), in their order, a copy."""
        if len(places) == 0:
            return np.empty((0, *self.row_shape), self.dtype.newbyteorder("="))
        chunks, within = np.divmod(places, self.chunk_rows)
        if chunks[0] == chunks.min() == chunks.max():
            rows: NDArray[Any] = self._map(int(chunks[0]))[within]
            return rows.astype(self.dtype.newbyteorder("="), copy=False)
        result = np.empty((len(places), *self.row_shape), self.dtype.newbyteorder("="))
        for chunk in np.unique(chunks):
            here = chunks == chunk
            result[here] = self._map(int(chunk))[within[here]]
        return result

    def prefetch(self, start: int, stop: int) -> None:
        """Have the system read rows start..stop-1 into its memory, without waiting for them."""
        if not hasattr(os, "posix_fadvise"):
            return
        while start < stop:
            chunk, first = divmod(start, self.chunk_rows)
            count = min(self.chunk_rows - first, stop - start)
            size = self._bytes_per_row
            with contextlib.suppress(OSError):  # whoever reads it will be told
                file = os.open(self._path(chunk), os.O_RDONLY)
                try:
                    os.posix_fadvise(file, first * size, count * size, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(file)
            start += count

    @property
    def _bytes_per_row(self) -> int:
        return math.prod(self.row_shape) * int(self.dtype.itemsize)

    def _path(self, chunk: int) -> str:
        return os.path.join(self.folder, "c", str(chunk), *("0" for _ in self.row_shape))

    def _open_map(self, chunk: int) -> NDArray[Any]:
        path, size = self._path(chunk), self.chunk_rows * self._bytes_per_row
        try:
            try:
                mapped = map_file(path, size)
            except OSError as error:
                if error.errno != errno.ENOMEM:
                    raise
                self._map.cache_clear()  # as many maps as the system allows a process
                mapped = map_file(path, size)
        except (OSError, ValueError) as error:
            raise FileFormatError(f"{path} cannot be read: {error}.") from None
        rows: NDArray[Any] = mapped.view(self.dtype)
        return rows.reshape(self.chunk_rows, *self.row_shape)

    def _metadata(self) -> dict[str, Any]:
        endian = {"configuration": {"endian": "little"}} if self.dtype.itemsize > 1 else {}
        return {
            "zarr_format": 3,
            "node_type": "array",
            "shape": [self.rows, *self.row_shape],
            "data_type": self.dtype.name,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [self.chunk_rows, *self.row_shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
            "fill_value": 0,
            "codecs": [{"name": "bytes", **endian}],
            "attributes": {},
        }


class GrowingArray(StoredArray):
    """An array on disk to which rows are appended, by one process at a time.

    While it grows, its first axis is counted in whole chunks; what lies behind the rows that count
    is whatever a writer left there. `close` brings it to its length.
    """

    def __init__(self, folder: str | Path) -> None:
        super().__init__(folder)
        self.end = self._counted = self.rows
        self._chunk = -1
        self._file: BinaryIO | None = None

    @classmethod
    def create(
        cls, folder: str | Path, dtype: str, row_shape: tuple[int, ...] = (), chunk_rows: int = 0
    ) -> None:
        """Make an empty array in a new folder."""
        array = cls.__new__(cls)
        array.folder = os.fspath(folder)
        array.row_shape = row_shape
        array.dtype = np.dtype(dtype).newbyteorder("<")
        array.chunk_rows = chunk_rows or max(1, _CHUNK_BYTES // array._bytes_per_row)
        os.makedirs(folder)
        array._write_rows(0)

    def rewind(self, end: int) -> None:
        """Go on behind row `end`, whatever stands there."""
        self.end = self._counted = end

    def append(self, values: ArrayLike) -> None:
        """Write rows (n, *row_shape) behind the last one."""
        array = np.ascontiguousarray(values, dtype=self.dtype).reshape(-1, *self.row_shape)
        done = 0
        while done < len(array):
            chunk, first = divmod(self.end, self.chunk_rows)
            count = min(self.chunk_rows - first, len(array) - done)
            file = self._open_chunk(chunk)
            file.seek(first * self._bytes_per_row)
            file.write(array[done : done + count].data)
            self.end += count
            done += count

    def commit(self) -> None:
        """Count what was appended."""
        if self._file is not None:
            self._file.flush()
        self._counted = self.end
        whole = -(-self.end // self.chunk_rows) * self.chunk_rows
        if whole > self.rows:
            self._write_rows(whole)

    def sync(self) -> None:
        """Bring everything to the disk, so that it outlives a failure of the machine."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; what was appended since the last `commit` does not count."""
        self._close_chunk()
        if self._counted != self.rows:
            self._write_rows(self._counted)

    def _close_chunk(self) -> None:
        if self._file is not None:
            self.sync()
            self._file.close()
            self._file = None

    def _open_chunk(self, chunk: int) -> BinaryIO:
        if self._file is not None and self._chunk == chunk:
            return self._file
        self._close_chunk()
        path = self._path(chunk)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # A chunk has its full size from the start, as zarr demands; what is not written takes no
        # room on the disk.
        file = open(path, "r+b" if os.path.exists(path) else "x+b")  # noqa: SIM115
        file.truncate(self.chunk_rows * self._bytes_per_row)
        synchronise_file(os.path.dirname(path))
        self._file, self._chunk = file, chunk
        return file

    def _write_rows(self, rows: int) -> None:
        self.rows = rows
        content = json.dumps(self._metadata()).encode()
        replace_locked(os.path.join(self.folder, METADATA), content, durable=True)
