"""Where the bytes of a density file come from: a plain file, a compressed one, a tar member."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from io import RawIOBase
from pathlib import Path

from deepdft.errors import FileFormatError
from deepdft.formats.text.reading import TextStream
from deepdft.storage.compression import (
    Codec,
    DecompressedFile,
    codec_of_content,
    codec_of_name,
)
from deepdft.storage.pipes import is_pipe, spooled
from deepdft.storage.range_file import RangeFile
from deepdft.storage.tar_members import index_of, split_member

_HEAD = 1 << 15


@dataclass(frozen=True)
class Source:
    """A file that can be opened, from the start, as often as needed.

    Attributes:
        path: as errors show it.
        name: file name without folder and without the suffix of its compression.
        local: the file on disk (of a tar member, the archive; of a pipe, the copy).
        start: first byte within that file.
        stop: byte behind the last.
        codec: how it is compressed, or None.
        head: the first bytes after decompression.
    """

    path: str
    name: str
    local: str
    start: int = 0
    stop: int = 0
    codec: Codec | None = None
    head: bytes = field(default=b"", repr=False)

    @property
    def size(self) -> int | None:
        """Bytes after decompression where known, or None."""
        return self.stop - self.start if self.codec is None else None

    def open(self) -> RawIOBase:
        """Open for reading in binary, decompressed."""
        file = RangeFile(self.local, self.start, self.stop)
        return file if self.codec is None else DecompressedFile(file, self.codec, self.path)

    def open_text(self) -> TextStream:
        """Open as lines and numbers."""
        return TextStream(self.open(), self.path)


def find_source(path: str | Path) -> Source:
    """Look at a file, or at a member `ARCHIVE.tar::MEMBER`, without reading all of it.

    Raises:
        FileFormatError: if there is no such file, it is empty, or its compression is damaged.
    """
    text = os.fspath(path)
    local, member = split_member(text)
    if os.path.isdir(local) and member is None:
        if not any(os.path.exists(os.path.join(local, name)) for name in ("zarr.json", ".zgroup")):
            raise FileFormatError(f"{local} is a directory without a zarr group.")
        return Source(text, "group.zarr", local)
    if not os.path.exists(local):
        raise FileFormatError(f"There is no file {local}.")
    opened = spooled(local) if is_pipe(local) else local
    try:
        if member is not None:
            start, stop = index_of(local).range_of(member)
        else:
            start, stop = 0, os.path.getsize(opened)
        with RangeFile(opened, start, stop) as file:
            codec = codec_of_content(file.read(4096) or b"")
        name = os.path.basename(member if member is not None else local)
        announced = codec_of_name(name)
        if announced is not None:
            name = name[: -len(announced.suffix)]
        found = Source(text, name, opened, start, stop, codec)
        return replace(found, head=_read_head(found))
    except OSError as error:
        raise FileFormatError(f"{text} cannot be read: {error.strerror or error}.") from None


def _read_head(source: Source) -> bytes:
    with source.open() as file:
        head = b""
        while len(head) < _HEAD and (piece := file.read(_HEAD - len(head))):
            head += piece
    if not head:
        raise FileFormatError(f"{source.path} is empty.")
    return head
