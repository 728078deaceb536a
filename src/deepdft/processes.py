"""Work shared out among processes on this machine, each of which does one item after the other.

A process that dies takes with it what it was at. Another one is given that, once. Where this dies
as well, or where one dies before it has done anything, as happens with too little memory, more of
them would die, and a sentence says so at once. None outlives the process that has started it.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from typing import Any, TypeVar

from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.failures import RefusedBySystemError, sentence_of

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_PROGRAM = "from deepdft.processes import main; main()"
_LOOK = 0.5
"""Seconds after which Ctrl-C is seen on Windows."""


def shared_out(
    task: Callable[[ItemT], ResultT], items: Sequence[ItemT], workers: int
) -> Generator[tuple[ItemT, ResultT], None, None]:
    """Yield every item with what a task makes of it, as they are done.

    Args:
        task: what is done; it is pickled, as are items and results.
        items: what it is done with, each different from the others.
        workers: number of processes.

    Raises:
        RefusedBySystemError: if a process dies at once, or two die of the same item.
        DeepDFTError: what the task raises; a defect as a `ConfigurationError` that names it.
    """
    waiting, lost = deque(items), set[ItemT]()
    running: list[_Worker] = []
    busy: dict[Future[Any], tuple[_Worker, ItemT]] = {}
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(workers))
        stack.callback(_end, running)

        def assign(worker: _Worker | None) -> None:
            if waiting:
                if worker is None:
                    worker = _Worker(task)
                    running.append(worker)
                item = waiting.popleft()
                busy[pool.submit(worker.result_of, item)] = worker, item

        for _ in range(min(workers, len(items))):
            assign(None)
        while busy:
            for future in wait(busy, _LOOK, FIRST_COMPLETED).done:
                worker, item = busy.pop(future)
                try:
                    result = future.result()
                except _LostWorkerError as loss:
                    if loss.is_interrupt:
                        raise KeyboardInterrupt from None
                    if not worker.has_worked or item in lost:
                        raise RefusedBySystemError(loss.sentence) from None
                    lost.add(item)
                    waiting.appendleft(item)
                    assign(None)
                else:
                    yield item, result
                    assign(worker)


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.end()


class _LostWorkerError(Exception):
    """A process has ended before its work.

    Args:
        code: its exit code; minus the number of a signal that ended it.
        last: the last line it wrote to stderr.
    """

    def __init__(self, code: int, last: str) -> None:
        super().__init__(code, last)
        self.is_interrupt = code in (-signal.SIGINT, 128 + signal.SIGINT)
        if code < 0:
            with suppress(ValueError):
                last = signal.Signals(-code).name
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        self.sentence = (
            f"A worker {how}{f' ({last[:200]})' if last else ''}; too little memory is the likely "
            "cause: give fewer workers or raise the limit (ulimit -v). What is done is kept, and "
            "the same command goes on with what is missing."
        )


class _Worker:
    """A process that does one item after the other.

    Attributes:
        has_worked: whether it has done one.
    """

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self.has_worked = False
        self._task: Callable[[Any], Any] | None = task
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115
        path = os.pathsep.join(part or os.getcwd() for part in sys.path)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr,
            # What threads there are is said by the task.
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
        )  # fmt: skip

    def result_of(self, item: object) -> Any:
        """Return what the task makes of an item.

        Raises:
            _LostWorkerError: if the process ends of it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            if self._task is not None:
                self._process.stdin.write(pickle.dumps(self._task))
                self._task = None
            self._process.stdin.write(pickle.dumps(item))
            self._process.stdin.flush()
            result = pickle.load(self._process.stdout)
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            code = self._process.wait()
            self._stderr.seek(0)
            said = self._stderr.read().decode(errors="replace").split("\n")
            last = next((line for line in reversed(said) if line.strip()), "")
            raise _LostWorkerError(code, " ".join(last.split())) from None
        if isinstance(result, DeepDFTError):
            raise result
        self.has_worked = True
        return result

    def end(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()
        for file in (self._process.stdin, self._process.stdout, self._stderr):
            if file is not None:
                with suppress(OSError):  # what it was not given any more
                    file.close()


def main() -> None:
    """Do, in a worker, what stands on stdin: a task, then items; the results go to stdout."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one sees to it
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed
    answer: object
    try:
        task = pickle.load(sys.stdin.buffer)
        items = _items()
        while True:
            answer = task(items.get())
            answers.write(pickle.dumps(answer))
            answers.flush()
    except Exception as error:
        answers.write(pickle.dumps(_as_sentence(error)))
        answers.flush()
    os._exit(1)  # a thread waits for more on stdin


def _items() -> queue.SimpleQueue[Any]:
    """Return what stands on stdin, as it comes; at its end, this process ends at once."""
    items: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def read() -> None:
        with suppress(EOFError):
            while True:
                items.put(pickle.load(sys.stdin.buffer))
        os._exit(1)  # nobody is there for whom it works

    threading.Thread(target=read, daemon=True).start()
    return items


def _as_sentence(error: Exception) -> DeepDFTError:
    if isinstance(error, DeepDFTError):
        return error
    sentence = sentence_of(error)
    if sentence is not None:
        return RefusedBySystemError(f"A worker failed. {sentence}")
    return ConfigurationError(f"A worker failed: {type(error).__name__}: {error}")
