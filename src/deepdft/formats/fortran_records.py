"""Unformatted Fortran records: a length, the bytes, the length again."""

from __future__ import annotations

import struct
from collections.abc import Callable
from io import RawIOBase

from deepdft.errors import FileFormatError


class FortranRecords:
    """Reads the records of a file in turn.

    Args:
        file: open for reading in binary.
        order: "<" or ">", the order of bytes.
        damaged: makes the error for a file that is not what it should be, from a reason.
    """

    def __init__(
        self, file: RawIOBase, order: str, damaged: Callable[[str], FileFormatError]
    ) -> None:
        self._file = file
        self._order = order
        self._damaged = damaged

    def read(self, length: int) -> bytes:
        """Return the bytes of the next record, which must be of a known length.

        Raises:
            FileFormatError: if it is not, or the file ends.
        """
        found = self._mark()
        if found != length:
            raise self._damaged(f"a record holds {found} bytes instead of {length}")
        data = take(self._file, length, self._damaged)
        if self._mark() != length:
            raise self._damaged("the end of a record names another length than its start")
        return data

    def _mark(self) -> int:
        (mark,) = struct.unpack(self._order + "i", take(self._file, 4, self._damaged))
        return int(mark)


def record(*parts: bytes) -> bytes:
    """Return a record, little-endian, made of several parts."""
    mark = struct.pack("<i", sum(map(len, parts)))
    return b"".join((mark, *parts, mark))


def take(file: RawIOBase, count: int, damaged: Callable[[str], FileFormatError]) -> bytes:
    """Return exactly `count` bytes.

    Raises:
        FileFormatError: if the file ends before.
    """
    parts, left = [], count
    while left > 0:
        part = file.read(min(left, 1 << 24))  # memory follows the file, not what it claims
        if not part:
            raise damaged("it ends too early")
        parts.append(part)
        left -= len(part)
    return b"".join(parts)
