"""Single-threaded worker processes that survive each other and never outlive the campaign."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from pathlib import Path
from types import TracebackType
from typing import Self

from deepdft.dft.calculation import ReferenceCalculation
from deepdft.dft.manifest import StructureRecord
from deepdft.dft.worker import SCRATCH, Job, failed
from deepdft.errors import ConfigurationError

_THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class _Worker:
    """One worker process, as seen from the campaign."""

    def __init__(self, calculation: ReferenceCalculation, scratch: Path) -> None:
        self.job: Job | None = None
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
        self.connection.send(calculation)

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

    def assign(self, job: Job) -> None:
        """Give the worker a job."""
        self.job = job
        # One that has died since its last job is found out when its result is due.
        with contextlib.suppress(OSError):
            self.connection.send(job)

    def result(self) -> StructureRecord:
        """Return the record of the job that has ended; it failed if the process died of it."""
        job = self.job
        assert job is not None
        self.job = None
        try:
            record: StructureRecord = self.connection.recv()
            return record
        except (EOFError, OSError):
            return failed(
                job.record,
                f"The worker process {self.cause_of_death()}.",
                Path(SCRATCH) / job.record.name,
            )

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


class WorkerPool:
    """Worker processes for one calculation, inside a `with` block.

    Args:
        calculation: what they run; its class must be importable.
        jobs: how many processes.
        scratch: folder for temporary files.
    """

    def __init__(self, calculation: ReferenceCalculation, jobs: int, scratch: Path) -> None:
        self._calculation = calculation
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
        self, jobs: Iterable[Job], started: Callable[[str], None] | None = None
    ) -> Iterator[StructureRecord]:
        """Yield the record of each job as it ends.

        Args:
            jobs: what to do.
            started: called with a structure's name when a worker begins with it.
        """
        waiting = iter(jobs)
        busy: dict[object, _Worker] = {}
        for worker in [self._start() for _ in range(self._jobs)]:
            worker.ready()
            self._assign(worker, waiting, busy, started)
        while busy:
            for connection in wait([worker.connection for worker in busy.values()]):
                worker = busy.pop(connection)
                yield worker.result()
                if not worker.alive:
                    worker.end()
                    self._workers.remove(worker)
                    worker = self._start()
                    worker.ready()
                self._assign(worker, waiting, busy, started)

    def _start(self) -> _Worker:
        worker = _Worker(self._calculation, self._scratch)
        self._workers.append(worker)
        return worker

    def _assign(
        self,
        worker: _Worker,
        waiting: Iterator[Job],
        busy: dict[object, _Worker],
        started: Callable[[str], None] | None,
    ) -> None:
        job = next(waiting, None)
        if job is None:
            return
        worker.assign(job)
        busy[worker.connection] = worker
        if started is not None:
            started(job.record.name)
