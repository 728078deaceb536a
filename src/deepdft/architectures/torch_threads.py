"""torch's own threads kept out of the way of ours."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0
_before = 1
_of_thread = threading.local()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Keep torch from starting a team of threads of its own.

    Our threads are the parallelism; products split among more threads could round differently; and
    in a forked process GNU OpenMP would wait for ever for those of the parent. Any number of
    threads may be inside, each any number of times: the number is that of before when the last one
    has left.
    """
    global _inside, _before
    depth: int = getattr(_of_thread, "depth", 0)
    if depth == 0:
        with _lock:
            # A thread that has not asked yet would take over what is set for others later on.
            found = torch.get_num_threads()
            _before = found if _inside == 0 else _before
            _inside += 1
            # Both the number for threads to come and that of this thread.
            torch.set_num_threads(1)
    _of_thread.depth = depth + 1
    try:
        yield
    finally:
        _of_thread.depth = depth
        if depth == 0:
            with _lock:
                _inside -= 1
                torch.set_num_threads(_before)
