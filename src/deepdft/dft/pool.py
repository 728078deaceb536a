"""Single-threaded worker processes that survive each other and never outlive the campaign."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from deepdft.dft.worker import Refused
from deepdft.errors import ConfigurationError
from deepdft.failures import RefusedBySystemError

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


JobT = TypeVar("JobT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Lost:
    """In place of a result: the worker process ended.

    Attributes:
        reason: a sentence that says how.
    """

    reason: str


class _Worker:
    """One worker process, as seen from the campaign."""

    def __init__(self, perform: Callable[[Any], Any], scratch: Path) -> None:
        self.job: Any = None
        self.connection, other = multiprocessing.Pipe()
        # Only this process holds the writing end: it closes when this process ends.
        lifeline, self._lifeline = os.pipe()
        environment = dict(os.environ) | dict.fromkeys(_THREADS, "1")
        environment |= {"TMPDIR": str(scratch), "PYSCF_TMPDIR": str(scratch)}
        try:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-c",
                    "import sys; from deepdft.dft.worker import main; "
                    "main(int(sys.argv[1]), int(sys.argv[2]))",
                    str(other.fileno()),
                    str(lifeline),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=(other.fileno(), lifeline),
                env=environment | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                # Of its own process group, so that Ctrl-C is the campaign's to handle.
                start_new_session=True,
            )
        finally:
            other.close()
            os.close(lifeline)
        self.connection.send([path or os.getcwd() for path in sys.path])
        self.connection.send(perform)

    def ready(self) -> None:
        """Wait until the worker has loaded the calculation.

        Raises:
            ConfigurationError: if it cannot.
        """
        try:
            problem = self.connection.recv()
        except EOFError:
            problem = f"A worker process could not start: it {self.cause_of_death()}."
        if problem is not None:
            raise ConfigurationError(problem)

    def assign(self, job: object) -> None:
        """Give the worker a job."""
        self.job = job
        # One that has died since its last job is found out when its result is due.
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def result(self) -> Any:
        """Return the result of the job that has ended, or `Lost` if the process died of it.

        Raises:
            RefusedBySystemError: if the system lets no job be done.
        """
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            return Lost(f"The worker process {self.cause_of_death()}.")
        if isinstance(result, Refused):
            raise RefusedBySystemError(result.sentence)
        return result

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def cause_of_death(self) -> str:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        return f"ended with exit status {code}"

    def end(self) -> None:
        """End the process and those it started, at once."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self.connection.close()
        os.close(self._lifeline)


class WorkerPool(Generic[JobT, ResultT]):
    """Worker processes, inside a `with` block.

    Args:
        perform: what they do with a job; it is pickled, so its class must be importable.
        jobs: how many processes.
        scratch: folder for temporary files.

    Raises:
        ConfigurationError: on Windows, which has no groups of processes that end together.
    """

    def __init__(self, perform: Callable[[JobT], ResultT], jobs: int, scratch: Path) -> None:
        if not hasattr(os, "killpg"):
            raise ConfigurationError(
                "Reference calculations run on Linux and macOS alone; on Windows, use WSL."
            )
        self._perform = perform
        self._jobs = jobs
        self._scratch = scratch
        self._workers: list[_Worker] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(
        self, jobs: Iterable[JobT], started: Callable[[JobT], None] | None = None
    ) -> Iterator[tuple[JobT, ResultT | Lost]]:
        """Yield each job with its result as it ends.

        Args:
            jobs: what to do.
            started: called with a job when a worker begins with it.
        """
        waiting = iter(jobs)
        busy: dict[object, _Worker] = {}
        for worker in [self._start() for _ in range(self._jobs)]:
            worker.ready()
            self._assign(worker, waiting, busy, started)
        while busy:
            for connection in wait([worker.connection for worker in busy.values()]):
                worker = busy.pop(connection)
                yield worker.job, worker.result()
                if not worker.alive:
                    worker.end()
                    self._workers.remove(worker)
                    worker = self._start()
                    worker.ready()
                self._assign(worker, waiting, busy, started)

    def _start(self) -> _Worker:
        worker = _Worker(self._perform, self._scratch)
        self._workers.append(worker)
        return worker

    def _assign(
        self,
        worker: _Worker,
        waiting: Iterator[JobT],
        busy: dict[object, _Worker],
        started: Callable[[JobT], None] | None,
    ) -> None:
        job = next(waiting, None)
        if job is None:
            return
        worker.assign(job)
        busy[worker.connection] = worker
        if started is not None:
            started(job)
