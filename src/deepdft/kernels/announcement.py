"""The first call's compilation, which takes a while once on a machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from numba.core.event import Event, Listener, install_listener


class _Teller(Listener):
    """Calls a function when the first compilation begins."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell: Callable[[], None] | None = tell

    def on_start(self, event: Event) -> None:
        """Tell, once."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def on_end(self, event: Event) -> None:
        """Compiled."""


@contextmanager
def told_of_compilation(tell: Callable[[], None]) -> Iterator[None]:
    """Call a function once if anything is compiled in the block, when that begins.

    What was compiled before is loaded from disk, and nothing is told.
    """
    with install_listener("numba:compile", _Teller(tell)):
        yield
