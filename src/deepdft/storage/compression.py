"""Compressed files: reading and writing streams, told apart by suffix and by content.

Memory is bounded in both directions: a small file that expands enormously is expanded piece by
piece, as fast as it is read, and no further than `deepdft.storage.expansion` says.
"""

from __future__ import annotations

import bz2
import io
import lzma
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Protocol

from deepdft.errors import FileFormatError
from deepdft.extras import import_extra
from deepdft.storage.damage import reason_of
from deepdft.storage.expansion import EXPANDED, RATIO, is_beyond

_CHUNK = 1 << 18
_ZSTD_PIECE = 128
"""Bytes. Of a block of zeros, which has four, they hold 32: 4 MiB."""


class Decompressor(Protocol):
    """What the decompressors of bz2, lzma and lz4 have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _ZlibDecompressor:
    """zlib's decompressor with the interface of bz2's."""

    def __init__(self, window_bits: int) -> None:
        self._inner = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max(max_length, 0))


class _ZstandardDecompressor:
    """zstandard's decompressor with the interface of bz2's."""

    def __init__(self) -> None:
        self._inner = _import("zstandard").ZstdDecompressor().decompressobj()
        self._waiting = b""
        self._ready = b""

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof) and not self._ready

    @property
    def needs_input(self) -> bool:
        return not (self._ready or self._waiting)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data) + self._waiting

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        # A block of three or more bytes expands to at most 128 KiB: so small pieces of input are
        # taken, one after the other, until there is something.
        self._waiting += data
        while self._waiting and not self._ready and not self._inner.eof:
            piece, self._waiting = self._waiting[:_ZSTD_PIECE], self._waiting[_ZSTD_PIECE:]
            self._ready = self._inner.decompress(piece)
        piece, self._ready = self._ready[:max_length], self._ready[max_length:]
        return piece


@dataclass(frozen=True)
class Codec:
    """One kind of compression.

    Attributes:
        name: what messages call it.
        suffix: file name suffix with its dot.
        magic: first bytes of such a file; empty if they do not identify it.
        decompressor: makes a decompressor of one stream.
        compressor: makes an object with `compress(data)` and `flush()`.
    """

    name: str
    suffix: str
    magic: bytes
    decompressor: Callable[[], Decompressor]
    compressor: Callable[[], Any]


def _import(module: str) -> Any:
    return import_extra(module, "This kind of compression")


class _Lz4Compressor:
    def __init__(self) -> None:
        self._inner = _import("lz4.frame").LZ4FrameCompressor()
        self._head: bytes = self._inner.begin()

    def compress(self, data: bytes) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._inner.compress(data))

    def flush(self) -> bytes:
        head, self._head = self._head, b""
        return head + bytes(self._inner.flush())


CODECS = (
    Codec(
        "gzip",
        ".gz",
        b"\x1f\x8b",
        lambda: _ZlibDecompressor(31),
        lambda: zlib.compressobj(6, zlib.DEFLATED, 31),
    ),
    Codec("bzip2", ".bz2", b"BZh", bz2.BZ2Decompressor, bz2.BZ2Compressor),
    Codec("xz", ".xz", b"\xfd7zXZ\x00", lzma.LZMADecompressor, lzma.LZMACompressor),
    Codec(
        "Zstandard",
        ".zst",
        b"\x28\xb5\x2f\xfd",
        _ZstandardDecompressor,
        lambda: _import("zstandard").ZstdCompressor().compressobj(),
    ),
    Codec(
        "LZ4",
        ".lz4",
        b"\x04\x22\x4d\x18",
        lambda: _import("lz4.frame").LZ4FrameDecompressor(),
        _Lz4Compressor,
    ),
    # A bare zlib stream, as the published QM9 densities are stored.
    Codec("zlib", ".zz", b"", lambda: _ZlibDecompressor(15), lambda: zlib.compressobj(6)),
)


def codec_of_name(name: str) -> Codec | None:
    """Return the codec that the suffix of a file name announces."""
    for codec in CODECS:
        if name.lower().endswith(codec.suffix):
            return codec
    return None


def codec_of_content(head: bytes) -> Codec | None:
    """Return the codec that the first bytes of a file announce."""
    for codec in CODECS:
        if codec.magic and head.startswith(codec.magic):
            return codec
    if len(head) >= 2 and head[0] & 0x0F == 8 and (head[0] << 8 | head[1]) % 31 == 0:
        try:  # two bytes are too little evidence: text may begin with them
            decompressor = zlib.decompressobj()
            if len(decompressor.decompress(head, 512)) == 512 or decompressor.eof:
                return CODECS[-1]
        except zlib.error:
            pass
    return None


class DecompressedFile(io.RawIOBase):
    """Read-only view of a compressed binary file; streams that follow each other are joined.

    Raises:
        FileFormatError: while reading, if the data are damaged or end too early.
    """

    def __init__(self, file: io.RawIOBase | io.BytesIO, codec: Codec, path: str) -> None:
        self._file = file
        self._codec = codec
        self._path = path
        self._decompressor = codec.decompressor()
        self._ready = memoryview(b"")
        self._stored = self._expanded = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def close(self) -> None:
        """Close the compressed file too."""
        self._file.close()
        super().close()

    def readinto(self, target: Any) -> int:
        """Fill `target` with as much as is at hand; 0 means the end."""
        if not len(self._ready):
            try:
                self._ready = memoryview(self._next_piece())
                self._expanded += len(self._ready)
            except (OSError, EOFError, RuntimeError, ValueError, lzma.LZMAError) as error:
                raise self._damaged(reason_of(error)) from None
            except Exception as error:
                # zlib.error and ZstdError derive from Exception alone.
                if type(error).__module__.split(".")[0] not in ("zlib", "zstandard"):
                    raise
                raise self._damaged(reason_of(error)) from None
        if is_beyond(self._expanded, self._stored):
            raise FileFormatError(
                f"{self._path} expands to more than {EXPANDED >> 30} GiB and more than {RATIO} "
                "times its size; no density does."
            )
        count = min(len(target), len(self._ready))
        target[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _damaged(self, reason: str) -> FileFormatError:
        return FileFormatError(
            f"{self._path}: the {self._codec.name} data are damaged or truncated ({reason})."
        )

    def _read_chunk(self) -> bytes:
        chunk = self._file.read(_CHUNK) or b""
        self._stored += len(chunk)
        return chunk

    def _next_piece(self) -> bytes:
        data = b""
        while True:
            if self._decompressor.eof:
                data = (self._decompressor.unused_data or b"") or self._read_chunk()
                # Padding behind the last stream (tar and tape write zeros) is no further stream.
                if not data.strip(b"\x00"):
                    return b""
                self._decompressor = self._codec.decompressor()
            elif self._decompressor.needs_input:
                data = self._read_chunk()
                if not data:
                    raise EOFError("the file ends inside the stream")
            piece = self._decompressor.decompress(data, 1 << 20)
            data = b""
            if piece:
                return piece


class CompressedWriter(io.RawIOBase):
    """Write-only view that compresses into a binary file, which stays open."""

    def __init__(self, file: BinaryIO, codec: Codec) -> None:
        self._file = file
        self._compressor = codec.compressor()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Compress `data`."""
        self._file.write(self._compressor.compress(data))
        return memoryview(data).nbytes

    def finish(self) -> None:
        """Write the end of the compressed stream."""
        self._file.write(self._compressor.flush())
