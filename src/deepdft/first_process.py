"""Processes of one training, of which the first has started the others: these end with it.

While a process imports what it needs, which can take a minute, nothing of training looks after the
others yet.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import NoReturn

from deepdft.failures import Terminated, ending_of
from deepdft.threads import is_first_process

VARIABLE = "DEEPDFT_FIRST_PROCESS"
"""The variable that tells a process which one has started it."""
LOST = (
    "Another process of this run has ended, so it cannot go on; its states are kept, and --resume "
    "goes on with them."
)
_LOOK = 0.5
"""Seconds between two looks."""

_taken_over = threading.Event()


def first_is_gone(seconds: float = 0.0) -> bool:
    """Return whether the process that has started this one ends within so many seconds."""
    first = os.environ.get(VARIABLE)
    if first is None or is_first_process():
        return False
    end = time.monotonic() + seconds
    while str(os.getppid()) == first:
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


def end_with_the_first() -> None:
    """Let this process end, with a sentence and exit code 2, when the first one has ended."""
    if os.environ.get(VARIABLE) is None or is_first_process():
        return

    def look() -> None:
        while not _taken_over.is_set():
            if first_is_gone():
                leave()
            _taken_over.wait(_LOOK)

    threading.Thread(target=look, name="deepdft-first-process", daemon=True).start()


def is_looked_after() -> None:
    """Somebody else looks after the processes from now on."""
    _taken_over.set()


def leave(tell: bool = True, told: int = 0, sentence: str = LOST) -> NoReturn:
    """End this process at once, whatever its libraries are at.

    Args:
        tell: whether it says why.
        told: number of a signal that has told it to end; else it ends with exit code 2.
        sentence: why it ends, where no signal has told it to.
    """
    ending = ending_of(Terminated(told)) if told else None
    sentence, code = ending or (sentence, 2)
    try:
        if tell:
            print(f"deepdft: {sentence}", file=sys.stderr, flush=True)
    finally:  # also where nobody reads any more
        os._exit(code)
