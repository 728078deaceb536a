"""Compilation of the number kernels of this folder with numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile `function` to machine code that runs without the interpreter lock.

    The code is cached beside the package, or in the user's cache folder where the package is
    read-only (numba chooses). Where neither can be written it is compiled again in every process.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return cast(Function, numba.njit(cache=True, **options)(function))
    except RuntimeError:
        # numba raises this when it finds no folder it may write to.
        return cast(Function, numba.njit(**options)(function))


def inlined(function: Function) -> Function:
    """Like `compiled`, for a part of an inner loop: becomes part of the functions that call it."""
    return cast(Function, numba.njit(inline="always", error_model="numpy")(function))
