"""How the kernels are compiled: quickly, cached on disk, to run without the interpreter lock.

What Python calls is compiled for itself. Functions that others call are compiled once more as a
part of each of them, so there are few of those.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, overload

import numba

Function = TypeVar("Function", bound=Callable[..., Any])

FUSED = frozenset({"contract", "nsz"})
"""Products and sums may become one multiply-add; infinities and NaN keep their meaning."""


@overload
def compiled(function: Function) -> Function: ...


@overload
def compiled(*, fast: frozenset[str]) -> Callable[[Function], Function]: ...


def compiled(function: Any = None, *, fast: frozenset[str] = frozenset()) -> Any:
    """Compile a function that Python calls.

    Args:
        function: the function; left out where the decorator has arguments.
        fast: what may be done to floating-point arithmetic, in LLVM's words.
    """
    return _decorated(function, fast, cache=True)


@overload
def inner(function: Function) -> Function: ...


@overload
def inner(*, fast: frozenset[str]) -> Callable[[Function], Function]: ...


def inner(function: Any = None, *, fast: frozenset[str] = frozenset()) -> Any:
    """Compile a function that only compiled ones call; arguments as of `compiled`."""
    return _decorated(function, fast, no_cpython_wrapper=True)


def _decorated(function: Any, fast: frozenset[str], **options: bool) -> Any:
    njit: Any = numba.njit  # its annotations leave out the options of wrappers
    decorate = njit(
        nogil=True, error_model="numpy", fastmath=set(fast), no_cfunc_wrapper=True, **options
    )
    return decorate if function is None else decorate(function)
