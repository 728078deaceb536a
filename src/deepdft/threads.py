"""How many CPUs there are, work shared out among threads of our own, and one of many processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def available_threads() -> int:
    """Return how many CPUs this process may use (OMP_NUM_THREADS is respected)."""
    requested = os.environ.get("OMP_NUM_THREADS", "")
    if requested.isdecimal() and int(requested) > 0:
        return int(requested)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_first_process() -> bool:
    """Return whether this process is the one of a training that writes and speaks for all."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0


def run_in_threads(work: Callable[[T], None], items: Sequence[T], threads: int) -> None:
    """Do `work` on every item; each thread takes the next item as it gets free.

    Raises:
        BaseException: what `work` raised first; items not begun by then are left undone.
    """
    if threads == 1 or len(items) <= 1:
        for item in items:
            work(item)
        return
    left = iter(items)
    failed = False

    def take_items() -> None:
        nonlocal failed
        try:
            for item in left:
                if failed:
                    return
                work(item)
        except BaseException:
            failed = True
            raise

    with ThreadPoolExecutor(min(threads, len(items))) as pool:
        try:
            for taker in [pool.submit(take_items) for _ in range(min(threads, len(items)))]:
                taker.result()
        except BaseException:
            # Interrupted from the keyboard, for example: the other threads stop as well.
            failed = True
            raise
