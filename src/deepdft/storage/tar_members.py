"""Members of tar files, read at random without unpacking.

A tar file has no table of contents: finding a member means walking through all of them. So it is
done once and the places are kept in `NAME.tar.index.json` beside the archive (or only in memory,
where that folder cannot be written to). A member is named `ARCHIVE.tar::MEMBER`.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepdft.errors import DeepDFTError, FileFormatError, did_you_mean
from deepdft.storage.compression import codec_of_content
from deepdft.storage.damage import reason_of

SEPARATOR = "::"
_VERSION = 1
_DECOMPRESS = {
    "gzip": "gunzip -k",
    "bzip2": "bunzip2 -k",
    "xz": "unxz -k",
    "Zstandard": "unzstd",
    "LZ4": "unlz4",
}
"""Commands that leave the compressed file where it is."""


@dataclass(frozen=True)
class TarIndex:
    """Where the regular files in an uncompressed tar file lie.

    Attributes:
        path: the archive.
        members: name -> (first byte, byte behind the last), in the archive's order.
    """

    path: str
    members: dict[str, tuple[int, int]]

    def range_of(self, member: str) -> tuple[int, int]:
        """Return the bytes of a member.

        Raises:
            FileFormatError: if there is no such member.
        """
        for name in (member, f"./{member}", member.removeprefix("./")):
            if name in self.members:
                return self.members[name]
        hint = did_you_mean(member, list(self.members)[:10000])
        raise FileFormatError(f"{self.path} has no member {member!r}.{hint}")


def split_member(path: str | Path) -> tuple[str, str | None]:
    """Return (archive, member) of `ARCHIVE::MEMBER`, or (path, None)."""
    text = os.fspath(path)
    archive, separator, member = text.partition(SEPARATOR)
    if separator and member and not os.path.exists(text):
        return archive, member
    return text, None


def members(path: str | Path) -> list[str]:
    """Return what can be read from a tar file, as paths `ARCHIVE::MEMBER` in the archive's order.

    Raises:
        FileFormatError: if the archive is missing, compressed or damaged.
    """
    return [f"{os.fspath(path)}{SEPARATOR}{name}" for name in index_of(path).members]


def index_of(path: str | Path) -> TarIndex:
    """Return the index of a tar file: kept in memory, read from beside it, or built.

    Raises:
        FileFormatError: if the archive is missing, compressed or damaged.
    """
    archive = os.path.realpath(path)
    try:
        state = os.stat(archive)
    except OSError:
        raise FileFormatError(f"There is no file {os.fspath(path)}.") from None
    return _cached_index(archive, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _cached_index(archive: str, size: int, modified: int) -> TarIndex:
    stored = f"{archive}.index.json"
    stamp = [_VERSION, size, modified]
    known = _load(stored, stamp)
    if known is None:
        known = _build(archive)
        _store(stored, stamp, known)
    return TarIndex(archive, known)


def _load(stored: str, stamp: list[int]) -> dict[str, tuple[int, int]] | None:
    """Return a stored index if it belongs to the archive as it is now."""
    try:
        with open(stored, encoding="utf-8") as file:
            content: Any = json.load(file)
        if content["stamp"] != stamp:
            return None
        size = stamp[1]
        known = {
            str(name): (int(low), int(high)) for name, (low, high) in content["members"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return known if all(0 <= low <= high <= size for low, high in known.values()) else None


def _store(stored: str, stamp: list[int], known: dict[str, tuple[int, int]]) -> None:
    from deepdft.storage.whole_files import AtomicFile

    content = json.dumps({"stamp": stamp, "members": known})
    with contextlib.suppress(OSError, DeepDFTError), AtomicFile(stored) as file:
        file.write(content.encode())


def _build(archive: str) -> dict[str, tuple[int, int]]:
    with open(archive, "rb") as file:
        codec = codec_of_content(file.read(4096))
    if codec is not None:
        command = _DECOMPRESS.get(codec.name)
        how = f" (`{command} {os.path.basename(archive)}`)" if command else ""
        raise FileFormatError(
            f"{archive} is compressed as a whole ({codec.name}), so its members cannot be reached "
            f"at random; decompress it once{how} and name the tar file that this makes (its "
            "members may be compressed)."
        )
    found: dict[str, tuple[int, int]] = {}
    size = os.path.getsize(archive)
    try:
        with tarfile.open(archive, "r:") as tar:
            while (member := tar.next()) is not None:
                vars(tar)["members"] = []  # tarfile would keep every header in memory
                end = member.offset_data + member.size
                if member.isreg() and not member.issparse():
                    if end > size:
                        raise tarfile.ReadError(f"{member.name} ends behind the archive")
                    found[member.name] = (member.offset_data, end)
    except (tarfile.TarError, OSError, ValueError, OverflowError, EOFError) as error:
        raise FileFormatError(
            f"{archive} is not a tar file, or damaged: {reason_of(error)}"
        ) from None
    return found
