"""Files of the server's own: in private folders, gone afterwards also where the server was killed.

A server has one folder among the temporary files, and a lock beside it while it lives. What it
finds of servers that are gone it removes when it starts.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import stat
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from deepdft.errors import ConfigurationError
from deepdft.storage.locks import acquire

_PREFIX = "deepdft-page-"
_LOCK = ".lock"


def private_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a folder that only this user may look into, and that ends with its context."""
    place = _of_this_server()
    place.mkdir(mode=0o700, exist_ok=True)  # who clears up old files may have removed it
    return tempfile.TemporaryDirectory(dir=place)


@cache
def _of_this_server() -> Path:
    place = Path(tempfile.gettempdir(), _PREFIX + secrets.token_hex(6))
    # First the lock: a folder without one belongs to nobody.
    lock = acquire(_lock_of(place))
    place.mkdir(mode=0o700)

    def remove() -> None:
        shutil.rmtree(place, ignore_errors=True)
        if lock is not None:
            lock.release()
        _lock_of(place).unlink(missing_ok=True)

    atexit.register(remove)
    return place


def remove_leftovers() -> None:
    """Remove what servers of this user have left that were killed."""
    with suppress(OSError):
        for place in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
            if place.suffix != _LOCK and _is_ours(place):
                _remove_unless_in_use(place)


def _remove_unless_in_use(place: Path) -> None:
    with suppress(OSError, ConfigurationError):
        lock = acquire(_lock_of(place))
        if lock is not None:
            shutil.rmtree(place, ignore_errors=True)
            lock.release()
            _lock_of(place).unlink(missing_ok=True)


def _is_ours(place: Path) -> bool:
    """Return whether it is a folder of this user; others write among temporary files as well."""
    with suppress(OSError):
        state = place.lstat()
        return stat.S_ISDIR(state.st_mode) and state.st_uid == getattr(os, "getuid", lambda: 0)()
    return False


def _lock_of(place: Path) -> Path:
    return place.with_name(place.name + _LOCK)
