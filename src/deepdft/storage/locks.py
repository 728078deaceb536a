"""One writer at a time: locks that the system ends when the process that holds them ends.

There is one policy. A lock that somebody else has is never waited for: the caller says in a
sentence who is at work. On a file system without locks a marker file takes their place; the
sentence then names the file, which whoever was killed there has left behind.
"""

from __future__ import annotations

import errno
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from deepdft.errors import ConfigurationError

if TYPE_CHECKING:
    from filelock import BaseFileLock

_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}
"""What file systems without locks answer."""


@contextmanager
def sole_writer(lock_file: str | Path, taken: str) -> Iterator[None]:
    """Keep other writers out of what a lock file stands for.

    The file stays when the lock ends: to remove it would let two others in at once.

    Args:
        lock_file: made, with its folder, where there is none.
        taken: what to say where another process has the lock, without a full stop.

    Raises:
        ConfigurationError: if another process (or another place of this one) has the lock, or the
            file cannot be opened.
    """
    try:
        lock = acquire(lock_file)
    except OSError as error:
        raise ConfigurationError(
            f"{os.fspath(lock_file)} cannot be locked: {error.strerror or error}."
        ) from None
    if lock is None:
        raise ConfigurationError(f"{taken}.")
    try:
        yield
    finally:
        lock.release()


def acquire(lock_file: str | Path) -> BaseFileLock | None:
    """Return a lock that has been taken, or None where somebody else has it.

    Raises:
        ConfigurationError: if a marker file says that somebody else is at work.
        OSError: if the file cannot be opened.
    """
    from filelock import FileLock, SoftFileLock, Timeout

    lock: BaseFileLock = FileLock(lock_file, timeout=0, thread_local=False)
    try:
        with warnings.catch_warnings():
            # filelock says so itself where it falls back to a marker; the sentence below says more.
            warnings.simplefilter("ignore")
            try:
                lock.acquire()
            except OSError as error:
                if isinstance(error, Timeout) or error.errno not in _NO_LOCKS:
                    raise
                lock = SoftFileLock(f"{os.fspath(lock_file)}.marker", timeout=0, thread_local=False)
                lock.acquire()
    except Timeout:
        if not isinstance(lock, SoftFileLock):
            return None
        raise ConfigurationError(
            f"Another process is at work here, as {lock.lock_file} says. The file system has "
            "no locks, so the file also stays when a process is killed: delete it if none is "
            "running."
        ) from None
    return lock
