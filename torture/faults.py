"""What is done to commands: signals, and what the system refuses."""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random

from torture.processes import Limit

SIGNALS = {"kill": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl-C": signal.SIGINT}
ONE_PROCESS = "one process"
"""One of the processes of a command is killed, any of them."""
REFUSALS = ("full disk", "read-only", "file size", "memory", "descriptors", "no locks")

_MOST_BYTES = 300_000
_MOST_MEMORY = 400 << 20
_LITTLE_MEMORY = 8 << 20
_NOBODY = 65534


def limit_of(kind: str, random: Random) -> Limit | None:
    """Return what keeps a process from going on, for the kinds that are limits of a process."""
    if kind == "file size":
        return _limit(resource.RLIMIT_FSIZE, random.randrange(0, _MOST_BYTES))
    if kind == "descriptors":
        count = random.randrange(0, 12)
        return lambda: _set(
            resource.RLIMIT_NOFILE, max(map(int, os.listdir("/proc/self/fd"))) + count
        )
    if kind == "memory":
        more = int(_MOST_MEMORY * random.random() ** 3)  # most commands need little
        return lambda: _set(resource.RLIMIT_AS, _address_space() + more)
    return _without_locks if kind == "no locks" else None


def kill_one(numbers: Sequence[int], random: Random) -> None:
    """Kill one of some processes."""
    if numbers:
        with suppress(ProcessLookupError):
            os.kill(random.choice(numbers), signal.SIGKILL)


def lower(kind: str, number: int, random: Random) -> None:
    """Let a process that runs have little more than it has now, of memory, descriptors or size."""
    try:
        if kind == "memory":
            # The last is for what it starts, too: that has the same limit.
            more = random.randrange(random.choice((1, _LITTLE_MEMORY, _MOST_MEMORY)))
            _set_of(number, resource.RLIMIT_AS, _address_space(number) + more)
        elif kind == "descriptors":
            taken = {int(name) for name in os.listdir(f"/proc/{number}/fd")}
            free = next(count for count in range(len(taken) + 1) if count not in taken)
            _set_of(number, resource.RLIMIT_NOFILE, free + random.randrange(3))
        elif kind == "file size":
            _set_of(number, resource.RLIMIT_FSIZE, random.randrange(_MOST_BYTES))
    except (OSError, ValueError):
        return  # it has ended


def _set_of(number: int, which: int, value: int) -> None:
    resource.prlimit(number, which, (value, resource.prlimit(number, which)[1]))


def _limit(which: int, value: int) -> Limit:
    return lambda: _set(which, value)


def _set(which: int, value: int) -> None:
    resource.setrlimit(which, (value, resource.getrlimit(which)[1]))


def _address_space(number: int | str = "self") -> int:
    return int(Path(f"/proc/{number}/statm").read_text().split()[0]) * resource.getpagesize()


def _without_locks() -> None:
    """Let the system answer as a network file system without locks does."""
    import fcntl

    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = refuse  # type: ignore[assignment]
    fcntl.lockf = refuse  # type: ignore[assignment]


def can_mount() -> bool:
    """Return whether this process may mount a file system, as root may."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[bool]:
    """Mount a file system of so many bytes at a folder; yield False where that is not allowed."""
    kept = folder.with_name(f"{folder.name}.kept")
    shutil.copytree(folder, kept, symlinks=True)
    mounted = can_mount() and _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    try:
        if mounted:
            shutil.copytree(kept, folder, symlinks=True, dirs_exist_ok=True)
        yield mounted
    finally:
        if mounted:
            shutil.rmtree(kept)
            shutil.copytree(folder, kept, symlinks=True)
            subprocess.run(["umount", "-l", str(folder)], check=True)
            shutil.rmtree(folder)
            kept.rename(folder)
        else:
            shutil.rmtree(kept)


@contextmanager
def read_only(folder: Path) -> Iterator[Limit | None]:
    """Let nobody write below a folder: by a mount, or, for others than root, by its rights."""
    if os.geteuid() == 0 and _mount("--bind", str(folder), str(folder)):
        if _mount("-o", "remount,ro,bind", str(folder)):
            try:
                yield None
            finally:
                subprocess.run(["umount", "-l", str(folder)], check=True)
            return
        subprocess.run(["umount", "-l", str(folder)], check=True)
    places = [folder, *folder.rglob("*")]
    modes = [place.stat().st_mode for place in places]
    for place in places:
        place.chmod(place.stat().st_mode & ~0o222)
    try:
        yield _become_nobody if os.geteuid() == 0 else None
    finally:
        for place, mode in zip(places, modes, strict=True):
            place.chmod(mode)


def _become_nobody() -> None:
    os.setgroups([])
    os.setgid(_NOBODY)
    os.setuid(_NOBODY)
    ctypes.CDLL(None).prctl(4, 1)  # so that /proc/self stays readable


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode == 0
