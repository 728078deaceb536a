"""Pipes and devices (`/dev/stdin`, `<(zcat x.gz)`): copied once to a file that can be read again.

What comes through a pipe comes once, in order, and of unknown length; readers look at the beginning
first, and then read from any place. The copy is deleted when the program ends.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import tempfile

from deepdft.errors import FileFormatError

_copies: dict[tuple[int, int], tuple[int, str]] = {}
"""Device and inode of a pipe -> (when it was written to last, the copy)."""


def is_pipe(path: str) -> bool:
    """Return whether a path is there, but neither a file nor a folder."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def spooled(path: str) -> str:
    """Return the file that holds what came through a pipe.

    Raises:
        FileFormatError: if it is a terminal, or nothing came.
    """
    try:
        state = os.stat(path)
        key = (state.st_dev, state.st_ino)
        if key not in _copies or _copies[key][0] != state.st_mtime_ns:
            with open(path, "rb", buffering=0) as pipe:
                if os.isatty(pipe.fileno()):
                    raise FileFormatError(f"{path} is a terminal; pipe a file into it.")
                with tempfile.NamedTemporaryFile(prefix="deepdft-pipe-", delete=False) as copy:
                    atexit.register(_remove, copy.name)
                    shutil.copyfileobj(pipe, copy, 1 << 20)
                _copies[key] = os.fstat(pipe.fileno()).st_mtime_ns, copy.name
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror or error}.") from None
    copied = _copies[key][1]
    if os.path.getsize(copied) == 0:
        raise FileFormatError(f"{path} is a pipe through which nothing came.")
    return copied


def _remove(path: str) -> None:
    if os.path.exists(path):
        os.remove(path)
