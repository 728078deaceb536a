"""Commands as processes of their own, forked from one that has imported everything."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

Limit = Callable[[], None]
"""Is called in the process of a command before it begins."""

_PR_SET_CHILD_SUBREAPER = 36
_LONGEST_LIFE = 90.0
"""Seconds that other processes of a command may live on once its first has ended."""


@dataclass(frozen=True)
class Ended:
    """How a command has ended.

    Attributes:
        code: exit code; minus the number of a signal that ended it.
        output, error: what it printed.
        seconds: how long it took.
        others: exit codes of processes that outlived it, as far as they are known.
        left: those that had to be killed, by their command lines.
        wrong: what a client has to say against its answers.
    """

    code: int
    output: str
    error: str
    seconds: float
    others: tuple[int, ...] = ()
    left: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The lines on stderr."""
        return [line for line in self.error.splitlines() if line.strip()]


class Running:
    """A command under way, in a process group of its own.

    Args:
        arguments: of `deepdft`.
        folder: where it runs; what it prints goes to files in its parent.
        limit: what the process may not do.
        fresh: start an interpreter rather than fork this one.
        environment: variables that are added, where an interpreter is started.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        folder: Path,
        limit: Limit | None = None,
        fresh: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        _adopt_orphans()
        self._output, self._error = (
            folder.parent / f"{folder.name}.{n}" for n in ("stdout", "stderr")
        )
        for file in (self._output, self._error):
            file.write_bytes(b"")
        self._begun = time.monotonic()
        self._is_collected = False
        if fresh:
            variables = {**os.environ, **(environment or {})}
            self.number = _started(arguments, folder, self._output, self._error, variables)
        else:
            self.number = _forked(arguments, folder, self._output, self._error, limit)

    def tell(self, number: int, group: bool = False) -> None:
        """Send a signal, to the whole group as Ctrl-C on a terminal does, or to the process."""
        if self._is_collected:
            return
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.number, number)

    def wait(self, seconds: float) -> bool:
        """Return whether the command ends within so many seconds; it stays to be collected."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
            try:
                if os.waitid(os.P_PID, self.number, flags) is not None:
                    return True
            except ChildProcessError:  # it has been collected
                return True
            time.sleep(0.01)
        return False

    def printed(self) -> str:
        """What it has printed so far."""
        return self._output.read_text(errors="replace")

    def end(self, patience: float = 900.0) -> Ended:
        """Wait for the end and return it; a process that does not end in time is killed."""
        hung = not self.wait(patience)
        if hung:
            self.tell(signal.SIGKILL, group=True)
        _, status = os.waitpid(self.number, 0)
        self._is_collected = True
        seconds = time.monotonic() - self._begun
        others, left = self._end_others()
        error = self._error.read_text(errors="replace") + ("HUNG\n" if hung else "")
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, self.printed(), error, seconds, others, left)

    def _end_others(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """Wait for what the command has started, and kill what does not end by itself."""
        codes: list[int] = []
        end = time.monotonic() + _LONGEST_LIFE
        while members := self.members():
            if time.monotonic() > end:
                left = tuple(_command_of(number) for number in members)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.number, signal.SIGKILL)
                codes += self._collected()
                return tuple(codes), left
            time.sleep(0.05)
            codes += self._collected()
        return (*codes, *self._collected()), ()

    def _collected(self) -> list[int]:
        found = []
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-self.number, os.WNOHANG))[0]:
                found.append(os.waitstatus_to_exitcode(ended[1]))
        return found

    def members(self) -> list[int]:
        """The numbers of the processes that run in the group of this one."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                state, _, group = (
                    Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[:3]
                )
                if int(group) == self.number and state not in "ZX":
                    found.append(int(name))
        return found


def _command_of(number: int) -> str:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace")[:200]
    return str(number)


@cache
def _adopt_orphans() -> None:
    """Let processes whose parents have ended become children of this one, to learn their end."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _started(
    arguments: Sequence[str],
    folder: Path,
    output: Path,
    error: Path,
    environment: Mapping[str, str],
) -> int:
    with output.open("wb") as out, error.open("wb") as err:
        # Collected by `Running.end`.
        process = subprocess.Popen(
            [sys.executable, "-m", "deepdft", *arguments], cwd=folder, stdout=out, stderr=err,
            start_new_session=True, env=environment,
        )  # fmt: skip
    process.returncode = 0
    return process.pid


def _forked(
    arguments: Sequence[str], folder: Path, output: Path, error: Path, limit: Limit | None
) -> int:
    sys.stdout.flush()
    sys.stderr.flush()
    number = os.fork()
    if number:
        return number
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        for target, descriptor in ((output, 1), (error, 2)):
            opened = os.open(target, os.O_WRONLY)
            os.dup2(opened, descriptor)
            os.close(opened)
        # Whoever tests this may have put something else in their place.
        sys.stdout, sys.stderr = (
            open(number, "w", closefd=False, encoding="utf-8")  # noqa: SIM115
            for number in (1, 2)
        )
        if limit is not None:
            limit()
        sys.argv = ["deepdft", *arguments]
        code = _run()
    except KeyboardInterrupt:  # before the command has begun
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        os._exit(code)


def _run() -> int:
    from deepdft.__main__ import main

    try:
        main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else int(left.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
    return 0


def import_everything() -> None:
    """Import what commands need, so that forked ones begin at once."""
    import importlib

    for name in (
        "deepdft.__main__", "deepdft.cli.predict", "deepdft.cli.train", "deepdft.cli.convert",
        "deepdft.cli.dft", "deepdft.prediction", "deepdft.training", "deepdft.data",
        "deepdft.data.conversion", "deepdft.dft", "deepdft.formats", "deepdft.models.bundled",
        "zarr", "tensorboard", "torch.utils.tensorboard",
    ):  # fmt: skip
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
