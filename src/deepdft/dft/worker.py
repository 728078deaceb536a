"""What runs in a worker process: jobs, one after the other.

A worker leads a process group of its own, with the programs it starts. It ends when the process
that started it ends, however that happens, and takes them along.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from dataclasses import dataclass
from multiprocessing.connection import Connection

from deepdft.failures import sentence_of


@dataclass(frozen=True)
class Refused:
    """In place of a result: the system does not let any job be done.

    Attributes:
        sentence: what to tell.
    """

    sentence: str


def _end_with(lifeline: int) -> None:
    """End this process group when the other end of a pipe is closed."""

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def main(connection_number: int, lifeline: int) -> None:
    """Receive what to do and then jobs, and send the result of each, until told to stop."""
    _end_with(lifeline)
    connection: Connection = Connection(connection_number)
    sys.path[:] = connection.recv()
    try:
        perform = connection.recv()
    except Exception as error:  # unpickling a class that this process cannot import
        connection.send(
            f"The calculation cannot be loaded in a worker process ({error}); "
            "define its class in a module that can be imported."
        )
        return
    connection.send(None)
    with contextlib.suppress(EOFError):
        while (job := connection.recv()) is not None:
            try:
                result = perform(job)
            except Exception as error:
                sentence = sentence_of(error)
                if sentence is None:
                    raise
                result = Refused(sentence)
            connection.send(result)
