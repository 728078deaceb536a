"""Text of structure files, whatever wrote it: UTF-8 or Latin-1, any ends of lines, compressed."""

from __future__ import annotations

import io
from pathlib import Path

from deepdft.errors import FileFormatError
from deepdft.storage.compression import CODECS, DecompressedFile, codec_of_name
from deepdft.storage.expansion import RATIO

COMPRESSED = frozenset(codec.suffix for codec in CODECS)
"""Suffixes of compressed files."""

LARGEST = 1 << 30
"""Bytes. No structure file is larger, expanded."""

_EXPANDED = 1 << 26
"""Bytes that any compressed structure file may expand to; beyond, `RATIO` counts."""
_PIECE = 1 << 22


def read_text(path: Path) -> str:
    """Return the text of a file with `\\n` between its lines.

    Raises:
        FileFormatError: if the file cannot be read, is empty, or is not text.
    """
    content = _read_bytes(path)
    if b"\0" in content[:4096] and not content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FileFormatError(f"{path} is not a text file.")
    text = _decoded(content).replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise FileFormatError(f"{path} is empty.")
    return text


def _decoded(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16", errors="replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _read_bytes(path: Path) -> bytes:
    codec = codec_of_name(path.name)
    try:
        with path.open("rb", buffering=0) as file:
            if codec is None:
                content = _read_pieces(path, file, LARGEST)
            else:
                expanded = DecompressedFile(file, codec, str(path))
                content = _read_pieces(path, expanded, path.stat().st_size)
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.") from None
    if len(content) > LARGEST:
        raise FileFormatError(f"{path} is larger than 1 GiB; it is no structure file.")
    return content


def _read_pieces(path: Path, file: io.RawIOBase, stored: int) -> bytes:
    pieces = bytearray()
    while piece := file.read(_PIECE):
        pieces += piece
        if len(pieces) > max(_EXPANDED, RATIO * stored):
            raise FileFormatError(
                f"{path} expands to more than {_EXPANDED >> 20} MiB and {RATIO} times its size; no "
                "structure file does."
            )
        if len(pieces) > LARGEST:
            break
    return bytes(pieces)


def number(text: str, place: str) -> float:
    """Return a decimal number, also one with Fortran's `D` before its exponent.

    Raises:
        FileFormatError: if it is none; `place` begins the message.
    """
    try:
        return float(text.replace("D", "E").replace("d", "e"))
    except ValueError:
        raise FileFormatError(f"{place}: '{text.strip()[:30]}' is not a number.") from None


def integer(text: str, place: str) -> int:
    """Return a whole number.

    Raises:
        FileFormatError: if it is none; `place` begins the message.
    """
    try:
        return int(text[:20])
    except ValueError:
        raise FileFormatError(f"{place}: '{text.strip()[:30]}' is not a whole number.") from None
