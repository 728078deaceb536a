"""How functions are compiled: quickly, kept on disk, to run without the interpreter lock.

What Python calls is compiled for itself. Functions that others call are compiled once more as a
part of each of them, so there are few of those.
"""

from __future__ import annotations

import mmap
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from itertools import count
from typing import Any, TypeVar, overload

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.runtime.nrt import rtsys

from deepdft.imports import postponed

Function = TypeVar("Function", bound=Callable[..., Any])

FUSED = frozenset({"contract", "nsz"})
"""Products and sums may become one multiply-add; infinities and NaN keep their meaning."""

_ROOM = 48 << 20
"""Bytes that code may take, where it is loaded."""


class _DataFirst(IndexDataCacheFile):
    """Names code in its index only once the code is there.

    numba does it the other way round: killed in between, it would take what an earlier version of a
    function has left under the name.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep the code of a signature."""
        file: Any = self  # without annotations, as all of numba
        names = file._load_index()
        taken = set(names.values())
        free = (file._data_name(number) for number in count(1))
        name = names.get(key) or next(name for name in free if name not in taken)
        file._save_data(name, data)
        if key not in names:
            file._save_index({**names, key: name})


class _KeptCode(FunctionCache):
    """numba's code on disk, loaded without what only compiling needs.

    numba makes all that it can compile known to its compiler before it looks for code on disk. That
    takes most of the time of loading, and memory; where code is missing, compiling does it anyway.
    Code that is damaged is compiled again, and where none can be kept none is.
    """

    def __init__(self, function: Any) -> None:
        inherited: Any = super()
        inherited.__init__(function)
        data_first: Any = _DataFirst
        self._cache_file = data_first(
            cache_path=self._cache_path,
            filename_base=self._impl.filename_base,
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return what was compiled for a signature, or None."""
        rtsys.initialize(target_context)  # what machine code calls
        load: Any = self._load_overload  # without annotations
        _require_room()
        try:
            found = load(sig, target_context)
        except MemoryError:
            raise
        except Exception:  # unpickling may raise anything
            found = None
            index: Any = self._cache_file
            with suppress(OSError):
                index.flush()
        if found is None:
            _prepare_compiler()
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled, unless the disk is full or the folder read-only."""
        inherited: Any = super()
        with suppress(OSError):
            inherited.save_overload(sig, data)


def _require_room() -> None:
    """Ask for the memory that code takes: LLVM, which gets none, ends the process without a word.

    Raises:
        MemoryError: if there is not as much.
    """
    try:
        mmap.mmap(-1, _ROOM).close()
    except OSError as error:
        raise MemoryError from error


def _prepare_compiler() -> None:
    """Import what takes numba long for the sake of BLAS, which none of our functions calls."""
    with postponed("scipy.linalg.cython_blas"):
        import_module("numba.np.arraymath")


@overload
def compiled(function: Function) -> Function: ...


@overload
def compiled(
    *, fast: frozenset[str] = ..., counts_arrays: bool = ...
) -> Callable[[Function], Function]: ...


def compiled(
    function: Any = None, *, fast: frozenset[str] = frozenset(), counts_arrays: bool = True
) -> Any:
    """Compile a function that Python calls.

    The code is kept beside the package, or in the user's cache folder where the package is
    read-only (numba chooses). Where neither can be written it is compiled again in every process.

    Args:
        function: the function; left out where the decorator has arguments.
        fast: what may be done to floating-point arithmetic, in LLVM's words.
        counts_arrays: False where no arrays are made: then none are counted, which in short
            functions takes as long as the arithmetic.
    """

    def decorate(function: Any) -> Any:
        result = _decorated(function, fast, counts_arrays)
        if hasattr(result, "_cache"):  # not where numba is told to compile nothing
            with suppress(RuntimeError):  # no folder that may be written to
                kept: Any = _KeptCode
                result._cache = kept(function)
        return result

    return decorate if function is None else decorate(function)


@overload
def inner(function: Function) -> Function: ...


@overload
def inner(
    *, fast: frozenset[str] = ..., counts_arrays: bool = ..., inline: bool = ...
) -> Callable[[Function], Function]: ...


def inner(
    function: Any = None,
    *,
    fast: frozenset[str] = frozenset(),
    counts_arrays: bool = True,
    inline: bool = False,
) -> Any:
    """Compile a function that only compiled ones call.

    Args:
        function: as of `compiled`.
        fast: as of `compiled`.
        counts_arrays: as of `compiled`.
        inline: whether it becomes a part of its callers before they are compiled.
    """

    def decorate(function: Any) -> Any:
        options = {"inline": "always"} if inline else {}
        return _decorated(function, fast, counts_arrays, no_cpython_wrapper=True, **options)

    return decorate if function is None else decorate(function)


def _decorated(function: Any, fast: frozenset[str], counts_arrays: bool, **options: Any) -> Any:
    njit: Any = numba.njit  # its annotations leave out the options of wrappers
    decorate = njit(
        nogil=True, error_model="numpy", fastmath=set(fast), no_cfunc_wrapper=True,
        _nrt=counts_arrays, **options,
    )  # fmt: skip
    return decorate(function)
