"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from deepdft.errors import ConfigurationError
from deepdft.storage.compression import CompressedWriter, codec_of_name
from deepdft.storage.replace import replacing


def replace_file(path: str | Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; see `AtomicFile`."""
    with AtomicFile(path) as file:
        file.write(content)


def replace_locked(path: str | Path, content: bytes, *, durable: bool = False) -> None:
    """Write a file of a folder of which the caller is the only writer, whole or not at all.

    Quicker than `replace_file`: what a killed writer leaves is written over by the next.

    Args:
        path: the file.
        content: what it shall hold.
        durable: whether it must outlive a failure of the machine.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    os.replace(beside, target)


class AtomicFile:
    """A binary file written beside its destination, which it replaces when the block has ended.

    Compressed if the suffix says so. On an exception whatever was at the destination stays as it
    was. See `deepdft.storage.replace`.

    Raises:
        ConfigurationError: if the folder does not exist or the destination is no regular file.
    """

    def __init__(self, path: str | Path) -> None:
        # Through a symbolic link, the file that it points to is replaced.
        self.path = os.path.realpath(path)
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise ConfigurationError(f"{path} exists and is not a regular file.")
        self._stack = ExitStack()
        self._compressed: CompressedWriter | None = None

    def __enter__(self) -> BinaryIO:
        with ExitStack() as stack:
            place = stack.enter_context(replacing(self.path))
            self._file: BinaryIO = stack.enter_context(open(place, "xb"))
            codec = codec_of_name(os.path.basename(self.path))
            if codec is not None:
                self._compressed = CompressedWriter(self._file, codec)
            self._stack = stack.pop_all()
        return self._compressed or self._file  # type: ignore[return-value]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            with suppress(OSError):  # closing a file on a full disk fails once more
                self._stack.__exit__(kind, error, traceback)
            return
        with self._stack:
            if self._compressed is not None:
                self._compressed.finish()
