"""What processes are given to do in tests; kept apart, because each of them imports it."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

DEADLY = 5


def squared(number: int) -> int:
    print("what a task prints is no result")
    return number**2


def squared_until(folder: Path, always: bool, number: int) -> int:
    """Die of one number: the first time, or always."""
    (folder / f"of {number} {os.getpid()}").touch()
    if number == DEADLY and (always or len(list(folder.glob(f"of {number} *"))) == 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def raised(error: Exception, number: int) -> int:
    raise error


def died(number: int) -> int:
    print("no memory for a stack", file=sys.stderr)
    os._exit(3)


def slept(number: int) -> int:
    time.sleep(600 if number else 0)
    return number
