"""Where the bytes of a density file come from: a plain file, a compressed one, a tar member."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import RawIOBase
from pathlib import Path

from deepdft.errors import FileFormatError
from deepdft.io.compression import (
    Codec,
    DecompressedFile,
    codec_of_content,
    codec_of_name,
)
from deepdft.io.range_file import RangeFile
from deepdft.io.text import TextStream

_HEAD = 1 << 15


@dataclass(frozen=True)
class Source:
    """A file that can be opened, from the start, as often as needed.

    Attributes:
        path: as errors show it.
        name: file name without folder and without the suffix of its compression.
        local: the file on disk.
        codec: how it is compressed, or None.
        size: bytes after decompression where known, or None.
        head: the first bytes after decompression.
    """

    path: str
    name: str
    local: str
    codec: Codec | None
    size: int | None
    head: bytes = field(repr=False)

    def open(self) -> RawIOBase:
        """Open for reading in binary, decompressed."""
        return _open(self.local, self.codec, self.path)

    def open_text(self) -> TextStream:
        """Open as lines and numbers."""
        return TextStream(self.open(), self.path)


def find_source(path: str | Path) -> Source:
    """Look at a file without reading it.

    Raises:
        FileFormatError: if there is no such file, it is empty, or its compression is damaged.
    """
    text = os.fspath(path)
    if os.path.isdir(text):
        raise FileFormatError(f"{text} is a directory, not a density file.")
    if not os.path.exists(text):
        raise FileFormatError(f"There is no file {text}.")
    name = os.path.basename(text)
    try:
        with open(text, "rb") as file:
            first = file.read(4096)
        size = os.path.getsize(text)
    except OSError as error:
        raise FileFormatError(f"{text} cannot be read: {error.strerror}.") from None
    announced = codec_of_name(name)
    codec = codec_of_content(first)
    if announced is not None:
        name = name[: -len(announced.suffix)]
    return _with_head(text, name, text, codec, size if codec is None else None)


def _with_head(path: str, name: str, local: str, codec: Codec | None, size: int | None) -> Source:
    with _open(local, codec, path) as file:
        head = b""
        while len(head) < _HEAD:
            piece = file.read(_HEAD - len(head)) or b""
            if not piece:
                break
            head += piece
    if not head:
        raise FileFormatError(f"{path} is empty.")
    return Source(path, name, local, codec, size, head)


def _open(local: str, codec: Codec | None, path: str) -> RawIOBase:
    file = RangeFile(local)
    return file if codec is None else DecompressedFile(file, codec, path)
