"""Modules that other packages import at once and need only later, if ever."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

_importing = threading.RLock()


class _Later(ModuleType):
    """Stands for a module while others are imported; its functions import it when called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def function(*arguments: Any, **options: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*arguments, **options)

        return function


@contextmanager
def postponed(*names: str) -> Iterator[None]:
    """While the block imports, let modules be imported only when their functions are called.

    Modules that are there already stay as they are; afterwards the others can be imported as ever.

    Args:
        names: full names of modules of which nothing but functions is used.
    """
    with _importing:
        absent = [name for name in names if name not in sys.modules]
        sys.modules.update({name: _Later(name) for name in absent})
        try:
            yield
        finally:
            for name in absent:
                if isinstance(sys.modules.get(name), _Later):
                    del sys.modules[name]
                parent, _, own = name.rpartition(".")
                within = vars(sys.modules[parent]) if parent in sys.modules else {}
                if isinstance(within.get(own), _Later):
                    del within[own]
