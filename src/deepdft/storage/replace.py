"""Files and folders that appear whole or not at all, and outlive a failure of the machine.

Whoever writes NAME gets a place in the hidden folder `.NAME.part` beside it, so on the same file
system. When all is written and has reached the disk, it is put in the place of what was there. A
place is locked while its writer lives. What killed writers have left is removed by the next one.

A folder is exchanged with its old version in one step, on Linux and macOS. Where the system or the
file system cannot do that, two renames follow each other: a kill between them leaves nothing under
the name, until the next writer of the name puts the old version back.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepdft.errors import ConfigurationError
from deepdft.failures import RefusedBySystemError, refused_by_disk, unwritable
from deepdft.storage.locks import acquire

if TYPE_CHECKING:
    from filelock import BaseFileLock

_LOCK = ".lock"
_OLD = ".old"
_OURS = re.compile(r"[0-9a-f]{12}(\.lock(\.marker)?|\.old)?")
"""Names of places, of their locks and of old versions."""
_looked_through: set[Path] = set()
_NO_DISK = {errno.EINVAL, errno.EBADF, errno.EROFS, errno.ENOTSUP}
"""What is answered where there is nothing to bring to a disk."""
_MANY_FILES = 64
"""In folders of more, the whole file system is brought to the disk at once."""


@contextmanager
def replacing(path: str | Path, *, new: bool = False) -> Iterator[Path]:
    """Yield a place to write a file or a folder at, which then takes the place of `path`.

    If the block fails, what was at `path` stays as it was. A folder takes the place of a folder as
    a whole: whatever else was in the old one is gone, so look before whose folder it is. Through
    symbolic links, what they point to is replaced.

    Args:
        path: the destination, in a folder that exists.
        new: refuse to take the place of anything but an empty folder.

    Raises:
        ConfigurationError: if the folder does not exist or cannot be written to, a file would take
            the place of a folder or the other way round, or something is there that must not be.
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise ConfigurationError(f"There is no folder {target.parent} to write {target.name} into.")
    with _place_beside(target) as place:
        try:
            yield place
        except Exception as error:  # libraries have errors of their own for a full disk
            sentence = refused_by_disk(error, target)
            if sentence is None or isinstance(error, RefusedBySystemError):
                raise
            raise RefusedBySystemError(sentence) from None
        try:
            synchronise(place)
            _put(place, target, new)
        except OSError as error:
            raise RefusedBySystemError(unwritable(error, target)) from None


@contextmanager
def _place_beside(target: Path) -> Iterator[Path]:
    beside = target.with_name(f".{target.name}.part")
    _remove_leftovers_in(target.parent)
    remove_leftovers(target)
    try:
        place, lock = _locked_place(beside)
    except OSError as error:
        raise RefusedBySystemError(unwritable(error, target)) from None
    try:
        yield place
    finally:
        _remove(place)
        lock.release()
        _lock_of(place).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are writing
            beside.rmdir()


def _locked_place(beside: Path) -> tuple[Path, BaseFileLock]:
    for _ in range(100):
        place = beside / secrets.token_hex(6)
        beside.mkdir(exist_ok=True)
        try:
            lock = acquire(_lock_of(place))
        except FileNotFoundError:  # whoever was last has just removed the folder
            continue
        if lock is not None:
            return place, lock
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _lock_of(place: Path) -> Path:
    return place.with_name(place.name + _LOCK)


def _remove_leftovers_in(folder: Path) -> None:
    """Remove what killed writers of any name have left in a folder; a process looks once."""
    if folder in _looked_through:
        return
    _looked_through.add(folder)
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        names = [e.name for e in entries if e.name[:1] == "." and e.name[-5:] == ".part"]
        for name in names:
            # Only where all that is inside is called as ours is.
            if all(_OURS.fullmatch(inside) for inside in os.listdir(folder / name)):
                remove_leftovers(folder / name[1:-5])


def remove_leftovers(path: str | Path) -> None:
    """Remove what killed writers of `path` have left beside it."""
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".{target.name}.part")
    if not beside.is_dir():
        return
    with contextlib.suppress(OSError):
        names = {name.partition(".")[0] for name in os.listdir(beside)}
        for place in (beside / name for name in names):
            with contextlib.suppress(ConfigurationError):
                lock = acquire(_lock_of(place))
                if lock is None:
                    continue
                old = place.with_name(place.name + _OLD)
                if old.exists() and not target.exists():
                    os.rename(old, target)
                _remove(place)
                _remove(old)
                lock.release()
                _lock_of(place).unlink(missing_ok=True)
        beside.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _put(place: Path, target: Path, new: bool) -> None:
    if new:
        try:
            # Only an empty folder gives way to a folder; a file would give way to a file.
            if not place.is_dir() and target.exists():
                raise FileExistsError(errno.EEXIST, "")
            os.rename(place, target)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR):
                raise
            raise ConfigurationError(f"{target} exists already.") from None
        synchronise_file(target.parent)
        return
    if target.exists() and target.is_dir() != place.is_dir():
        kind = "a folder" if target.is_dir() else "no folder"
        raise ConfigurationError(f"{target} exists and is {kind}.")
    if not (place.is_dir() and target.exists()):
        os.replace(place, target)
    elif not _exchange(place, target):
        old = place.with_name(place.name + _OLD)
        os.rename(target, old)
        os.rename(place, target)
        _remove(old)
    synchronise_file(target.parent)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step; return False where that cannot be done."""
    call = _exchanging_call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP):
        return False
    raise OSError(number, os.strerror(number))


@cache
def _exchanging_call() -> Any:
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            swap = library.renamex_np  # RENAME_SWAP
            return lambda one, other: swap(one, other, ctypes.c_uint(2))
        exchange = library.renameat2  # AT_FDCWD, RENAME_EXCHANGE
        return lambda one, other: exchange(-100, one, -100, other, ctypes.c_uint(2))
    except (OSError, AttributeError, TypeError):
        return None


def synchronise(path: Path) -> None:
    """Bring a file, or a folder with all that is in it, to the disk."""
    if not path.is_dir():
        synchronise_file(path)
        return
    inside = [
        Path(folder, name) for folder, folders, files in os.walk(path) for name in folders + files
    ]
    if len(inside) > _MANY_FILES and _synchronise_file_system(path):
        return
    for part in (*inside, path):
        synchronise_file(part)


def synchronise_file(path: str | Path) -> None:
    """Bring a file, or the names in a folder, to the disk."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DISK:
            raise
    finally:
        os.close(descriptor)


def _synchronise_file_system(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return int(ctypes.CDLL(None).syncfs(descriptor)) == 0
    except (OSError, AttributeError, TypeError):
        return False
    finally:
        os.close(descriptor)
