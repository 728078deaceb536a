"""Jobs: what visitors asked for, one after the other, with progress, a way to stop, and an end."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from deepdft.web.limits import Limits
from deepdft.web.problems import Refusal, refusal_of

State = Literal["waiting", "running", "done", "failed", "stopped"]

_LOG = logging.getLogger("deepdft.web")
_RATE_SECONDS = 0.05
"""Before a rate is told of a stage that goes on: too short a time says nothing."""


class Stopped(Exception):
    """A job was stopped by whoever asked for it."""


class Job:
    """One request that takes time.

    Attributes:
        key: cannot be guessed; whoever has it may see and stop the job.
        kind: "prediction", "file" or "comparison".
        state: where it stands.
        stage: what it does now, words for people.
        done: points done in this stage.
        total: points of this stage, 0 where they are not counted.
        rate: points per second of this stage, or of the last one that had points.
        revision: counts what was published.
        result: what there is to see so far.
        error: a sentence, where it failed.
        status: HTTP status code of the error.
    """

    def __init__(self, kind: str, work: Callable[[Job], None], seconds: float) -> None:
        self.key = secrets.token_urlsafe(12)
        self.kind = kind
        self.state: State = "waiting"
        self.stage = ""
        self.done = 0
        self.total = 0
        self.rate: float | None = None
        self.revision = 0
        self.result: Any = None
        self.error: str | None = None
        self.status = 200
        self.looked_at = time.monotonic()
        self._work = work
        self._seconds = seconds
        self._stop = threading.Event()
        self._started = self._stage_started = self._ended = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ("done", "failed", "stopped")

    @property
    def seconds(self) -> float:
        """How long it has run, or ran."""
        if self.state == "waiting":
            return 0.0
        return (self._ended if self.is_over else time.monotonic()) - self._started

    def begin(self, stage: str, total: int = 0) -> None:
        """Begin a stage of some points."""
        self.check()
        self.stage, self.done, self.total = stage, 0, total
        self._stage_started = time.monotonic()

    def advance(self, points: int) -> None:
        """Count further points.

        Raises:
            Stopped: see `check`.
            Refusal: see `check`.
        """
        self.done += points
        taken = time.monotonic() - self._stage_started
        is_whole = 0 < self.total <= self.done
        if taken > (0 if is_whole else _RATE_SECONDS):
            self.rate = self.done / taken
        self.check()

    def check(self) -> None:
        """Leave the work where the job was stopped or has taken too long.

        Raises:
            Stopped: if somebody stopped it.
            Refusal: if its time is over.
        """
        if self._stop.is_set():
            raise Stopped
        if time.monotonic() - self._started > self._seconds:
            raise Refusal(
                f"This took longer than {self._seconds:.0f} seconds and was stopped; take a "
                "smaller structure, or 'deepdft predict' on the command line.",
                504,
            )

    def publish(self, result: Any) -> None:
        """Show what there is so far."""
        self.result = result
        self.revision += 1

    def stop(self) -> None:
        """Ask it to stop; it does at its next point."""
        self._stop.set()
        if self.state == "waiting":
            self.state = "stopped"

    def run(self) -> None:
        """Do the work; nothing that goes wrong goes further than this."""
        if self._stop.is_set():
            return
        self.state = "running"
        self._started = self._stage_started = time.monotonic()
        state: State = "failed"
        try:
            self._work(self)
            state = "done"
        except Stopped:
            state = "stopped"
        except Exception as error:
            refusal = refusal_of(error)
            if refusal is None:
                _LOG.exception("a job failed")
                words = "Something went wrong here that should not; the server's log has it."
                refusal = words, 500
            self.error, self.status = refusal
        finally:
            self._ended = self.looked_at = time.monotonic()
            self.state = state
            self.revision += 1


class JobQueue:
    """Runs jobs in their order, keeps what they made for a while.

    Args:
        limits: how many run, wait and are kept, and for how long.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[Job] = deque()
        self._change = threading.Condition()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"deepdft-job-{n}", daemon=True)
            for n in range(limits.running)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_closed(self) -> bool:
        """Whether nothing runs any more."""
        return self._closed

    def submit(self, kind: str, work: Callable[[Job], None]) -> Job:
        """Take in a job.

        Raises:
            Refusal: if too many are waiting.
        """
        with self._change:
            self._clean()
            if len(self._waiting) >= self._limits.waiting:
                raise Refusal(
                    f"{len(self._waiting)} requests are waiting already; try again in a minute.",
                    429,
                )
            job = Job(kind, work, self._limits.seconds)
            self._jobs[job.key] = job
            self._waiting.append(job)
            self._change.notify()
        return job

    def find(self, key: str) -> Job:
        """Return a job.

        Raises:
            Refusal: if there is none, or it was removed.
        """
        with self._change:
            self._clean()
            job = self._jobs.get(key)
            if job is None:
                raise Refusal("There is no such result, or it was removed after a while.", 404)
            job.looked_at = time.monotonic()
            return job

    def position(self, job: Job) -> int:
        """Return how many jobs are before one that waits, plus one; 0 for others."""
        with self._change:
            waiting = [other for other in self._waiting if other.state == "waiting"]
            return waiting.index(job) + 1 if job in waiting else 0

    def remove(self, key: str) -> None:
        """Stop a job and forget what it made.

        Raises:
            Refusal: if there is none.
        """
        job = self.find(key)
        with self._change:
            job.stop()
            self._jobs.pop(key, None)
            if job in self._waiting:
                self._waiting.remove(job)

    def close(self) -> None:
        """Stop everything."""
        with self._change:
            self._closed = True
            for job in self._jobs.values():
                job.stop()
            self._jobs.clear()
            self._waiting.clear()
            self._change.notify_all()

    def _serve(self) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._closed:
                    self._change.wait()
                if self._closed:
                    return
                job = self._waiting.popleft()
            job.run()

    def _clean(self) -> None:
        """Forget finished jobs that are old, and the oldest where there are too many."""
        over = sorted(
            (job for job in self._jobs.values() if job.is_over), key=lambda job: job.looked_at
        )
        too_many = len(over) - self._limits.kept
        oldest = time.monotonic() - self._limits.kept_seconds
        for number, job in enumerate(over):
            if number < too_many or job.looked_at < oldest:
                del self._jobs[job.key]
