"""The processes of one run: whoever loses another one ends with a sentence, and none is left over.

What is computed together fails at once where a process is gone, or waits for ever, as in a start,
in a long validation or on GPUs. So each process also looks whether the others live: the first at
those that it has started, these at the first.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

import pytorch_lightning
from pytorch_lightning.strategies import DDPStrategy
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

from deepdft.failures import system_sentence
from deepdft.first_process import LOST, VARIABLE, first_is_gone, is_looked_after, leave
from deepdft.threads import is_first_process
from deepdft.training.ending import SIGNALS, StoppedError
from deepdft.training.module import RunEndedError

_LOOK = 0.5
_PATIENCE = 15.0
"""Seconds between two looks, and for ending by itself once a process is lost."""
_DESCRIPTORS = 32
_LAST_DESCRIPTORS = 4
"""Files that a process opens to find the others, and those of one more try."""
_LOST = re.compile(
    r"gloo|NCCL|connection (was )?(closed|reset)|broken pipe|process group|DistBackendError"
    r"|DistNetworkError|TCPStore|store->",
    re.IGNORECASE,
)
"""What torch says where another process does not answer."""


class LostProcessError(RunEndedError):
    """Another process of the run has ended.

    Args:
        told: number of a signal that has told this process to end as well; 0 if none has. Ctrl-C
            ends at once what still imports what it needs, while others wait for the next step.

    Attributes:
        told: the same.
        tells: whether this process tells of it: the first, or, where that is gone, any other.
    """

    def __init__(self, told: int = 0) -> None:
        super().__init__(LOST)
        self.told = told
        self.tells = is_first_process() or first_is_gone(1.0)


class SeveralProcesses(DDPStrategy):
    """DDP whose processes end with a sentence where one is lost; Lightning would kill them all."""

    def setup_environment(self) -> None:
        """Let the processes find each other; without descriptors torch would wait half an hour.

        Where the limit is reached only meanwhile, the process leaves by itself.

        Raises:
            OSError: if this process may not open what that takes.
        """
        _require_descriptors(_DESCRIPTORS)
        watch = _Watch(_is_out_of_descriptors, _leave_without_descriptors)
        watch.start()
        try:
            super().setup_environment()
        finally:
            watch.over.set()

    def _configure_launcher(self) -> None:
        assert self.cluster_environment is not None
        self._launcher = _Launcher(self.cluster_environment, self.num_processes, self.num_nodes)

    @property
    def started(self) -> list[subprocess.Popen[Any]]:
        """The processes that this one has started."""
        return self._launcher.started if isinstance(self._launcher, _Launcher) else []


def _require_descriptors(count: int) -> None:
    taken: list[int] = []
    try:
        while len(taken) < count:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    finally:
        for descriptor in taken:
            os.close(descriptor)


def _is_out_of_descriptors() -> bool:
    try:
        _require_descriptors(_LAST_DESCRIPTORS)
    except OSError:
        return True
    return False


def _leave_without_descriptors() -> NoReturn:
    """End this process, which torch keeps trying to connect with others."""
    leave(sentence=system_sentence(OSError(errno.EMFILE, "")))


class _Launcher(_SubprocessScriptLauncher):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.started: list[subprocess.Popen[Any]] = []

    def _call_children_scripts(self) -> None:
        os.environ[VARIABLE] = str(os.getpid())
        super()._call_children_scripts()
        # What Lightning does not know of it does not kill.
        self.started, self.procs = self.procs, []


@contextmanager
def losses_of_processes(trainer: pytorch_lightning.Trainer) -> Iterator[None]:
    """Say in a sentence that another process of a run is gone; the others cannot go on.

    A process that does not get so far, because it waits for the lost one, leaves with exit code 2
    by itself. Processes that this one has started do not outlive its failure.

    Raises:
        LostProcessError: if another process is gone.
    """
    strategy = trainer.strategy
    if not isinstance(strategy, SeveralProcesses):
        yield
        return
    with _noted_signals() as told:
        watch = _Watch(
            lambda: _is_missing_one(strategy.started),
            lambda: leave(LostProcessError().tells, told()),
        )
        watch.start()
        is_looked_after()
        try:
            yield
        except BaseException as error:
            if not isinstance(error, StoppedError):  # with which all end at the same step
                _kill(strategy.started)
            if isinstance(error, RuntimeError) and _LOST.search(str(error)):
                raise LostProcessError(told()) from error
            raise
        finally:
            watch.over.set()


@contextmanager
def _noted_signals() -> Iterator[Callable[[], int]]:
    """Give what returns the number of a signal to end that has come; 0 where none has.

    Python handles a signal only once compiled code returns, which waits for the lost process.
    """
    reading, writing = socket.socketpair()
    numbers: list[int] = []
    before: int | None = None

    def told() -> int:
        with suppress(OSError):  # nothing has come
            numbers.extend(reading.recv(100))
        return next((number for number in numbers if number in SIGNALS), 0)

    with reading, writing:
        for end in (reading, writing):
            end.setblocking(False)
        with suppress(ValueError):  # not the main thread: signals are somebody else's
            before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
        try:
            yield told
        finally:
            if before is not None:
                signal.set_wakeup_fd(before)


class _Watch(threading.Thread):
    """Ends the process some time after something went wrong, if it has not ended by then.

    Args:
        is_wrong: whether it has, and is still.
        leave: ends the process.

    Attributes:
        over: set where there is nothing to look after any more.
    """

    def __init__(self, is_wrong: Callable[[], bool], leave: Callable[[], NoReturn]) -> None:
        super().__init__(name="deepdft-processes", daemon=True)
        self._is_wrong = is_wrong
        self._leave = leave
        self.over = threading.Event()

    def run(self) -> None:
        """Look now and then, until the run is over."""
        while not self.over.wait(_LOOK):
            if self._is_wrong() and not self.over.wait(_PATIENCE) and self._is_wrong():
                self._leave()


def _is_missing_one(started: list[subprocess.Popen[Any]]) -> bool:
    return any(process.poll() not in (None, 0) for process in started) or first_is_gone()


def _kill(started: list[subprocess.Popen[Any]]) -> None:
    for process in started:
        process.kill()
        process.wait()
