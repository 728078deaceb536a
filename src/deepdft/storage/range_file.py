"""A range of a plain file on disk, read from any place by any thread."""

from __future__ import annotations

import io
import os
import threading
from typing import Any

from deepdft.errors import FileFormatError


class RangeFile(io.RawIOBase):
    """Read-only view of the bytes ``[start, stop)`` of a file: the whole of it, or a tar member.

    Reading raises `FileFormatError` where the disk or the network fails.

    Args:
        path: the file.
        start: first byte.
        stop: byte behind the last; None for the end of the file.
    """

    def __init__(self, path: str, start: int = 0, stop: int | None = None) -> None:
        self._path = path
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()
        self._start = start
        self.size = (os.fstat(self._file.fileno()).st_size if stop is None else stop) - start
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, counted from the start of the range."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position, counted from the start of the range."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, target: Any) -> int:
        """Read from the position on; returns the count of bytes, 0 at the end."""
        received = self.read_at(self._position, target)
        self._position += received
        return received

    def read_at(self, offset: int, target: Any) -> int:
        """Fill `target` from `offset` on, without moving; returns the count of bytes."""
        view = memoryview(target).cast("B")
        view = view[: max(0, min(len(view), self.size - offset))]
        received = 0
        while received < len(view):
            count = self._read_once(self._start + offset + received, view[received:])
            if count == 0:
                break
            received += count
        return received

    def _read_once(self, offset: int, view: memoryview) -> int:
        try:
            if hasattr(os, "preadv"):
                return os.preadv(self._file.fileno(), [view], offset)
            with self._lock:
                self._file.seek(offset)
                return self._file.readinto(view) or 0
        except OSError as error:
            raise FileFormatError(f"{self._path} cannot be read: {error.strerror}.") from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
