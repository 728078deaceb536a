"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from deepdft.errors import ConfigurationError
from deepdft.storage.compression import CompressedWriter, codec_of_name


def replace_file(path: str | Path, content: bytes) -> None:
    """Write a file so that it appears whole or not at all; see `AtomicFile`."""
    with AtomicFile(path) as file:
        file.write(content)


class AtomicFile:
    """A binary file written beside its destination and renamed when the block ends without error.

    Compressed if the suffix says so. On an exception the temporary file is removed and whatever was
    at the destination stays as it was.

    Raises:
        ConfigurationError: if the folder does not exist or the destination is no regular file.
    """

    def __init__(self, path: str | Path) -> None:
        # Through a symbolic link, the file that it points to is replaced.
        self.path = os.path.realpath(path)
        folder, name = os.path.split(self.path)
        if not os.path.isdir(folder):
            raise ConfigurationError(f"There is no folder {folder} to write {name} into.")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise ConfigurationError(f"{path} exists and is not a regular file.")
        self._temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.part")
        self._codec = codec_of_name(name)
        self._compressed: CompressedWriter | None = None

    def __enter__(self) -> BinaryIO:
        try:
            self._file = open(self._temporary, "xb")
        except OSError as error:
            raise ConfigurationError(f"{self.path} cannot be written: {error.strerror}.") from None
        if self._codec is None:
            return self._file
        self._compressed = CompressedWriter(self._file, self._codec)
        return self._compressed  # type: ignore[return-value]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                if self._compressed is not None:
                    self._compressed.finish()
                self._file.close()
                os.replace(self._temporary, self.path)
        finally:
            with contextlib.suppress(OSError):
                self._file.close()
            if os.path.exists(self._temporary):
                os.remove(self._temporary)
