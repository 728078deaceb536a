"""What the system refuses, said in a sentence: no space, no rights, too little memory, an end.

`sentence_of` knows the errors that the machine raises rather than a defect of ours, whichever
library raised them; `ending_of` the requests to end. Everything else is a defect.
"""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from deepdft.errors import ConfigurationError, DeepDFTError, shortened

_USUAL_HANDLERS = {
    "SIGINT": signal.default_int_handler,
    "SIGTERM": signal.SIG_DFL,
    "SIGHUP": signal.SIG_DFL,
}

_ADVICE = {
    errno.ENOSPC: "no space is left on the disk; free some or name another folder",
    errno.EDQUOT: "the quota of disk space is used up; free some or name another folder",
    errno.EROFS: "the file system is read-only; name another folder",
    errno.EACCES: "permission is denied; change the rights or name another place",
    errno.EPERM: "permission is denied; change the rights or name another place",
    errno.EFBIG: "it would be larger than files may be here; raise the limit (ulimit -f)",
    errno.EMFILE: "this process has too many files open; raise the limit (ulimit -n)",
    errno.ENFILE: "the system has too many files open; end other programs",
    errno.ENAMETOOLONG: "the name is too long; give a shorter one",
    errno.ENOTDIR: "a part of the path is a file and no folder; name another place",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOENT: "there is no such file or folder; correct the name",
    errno.EEXIST: "it exists already; name another place",
    errno.ELOOP: "its symbolic links lead nowhere; correct them",
    errno.EIO: "the disk reports an error; look after it, or name another one",
    errno.ENOMEM: "there is not enough memory; end other programs or raise the limit (ulimit -v)",
    errno.EAGAIN: "the system has no room for it now; raise the limit (ulimit -u) or try later",
    errno.EBUSY: "something else is using it; try again later",
    errno.ESTALE: "the network file system has lost it; try again",
    errno.ETXTBSY: "a program is running from it; end that first",
}
_NUMBER = re.compile(r"(?:code: |os error |errno = |Errno )(\d+)")
"""Where libraries in other languages write the number of an error of the system."""
_WORDS = {os.strerror(number): number for number in _ADVICE}
"""The system's own words for each, which are all that others leave."""
_MEMORY = re.compile(
    r"can't allocate memory|cannot allocate memory|failed to map segment|out of memory"
    r"|can't start new thread|unable to allocate|std::bad_alloc"
    # What Python says where an import ran out of memory before it could say so.
    r"|error return without exception set",
    re.IGNORECASE,
)
_AGAIN = 0.05
"""Seconds after which a signal that was lost is sent once more."""
_NO_NAME = re.compile(r"embedded null (byte|character)|surrogates not allowed")


class Terminated(KeyboardInterrupt):
    """The process was told to end by a signal other than that of Ctrl-C.

    Libraries treat it as they treat Ctrl-C.

    Attributes:
        signal: its number.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.signal = number


class RefusedBySystemError(ConfigurationError):
    """The disk or the system does not take what is written; it is no fault of the input."""


def sentence_of(error: BaseException) -> str | None:
    """Return what to tell about an error: what is wrong, where and what to do.

    None stands for a defect, whose traceback should be seen.

    >>> sentence_of(OSError(28, "No space left on device", "rho.cube"))
    'rho.cube: no space is left on the disk; free some or name another folder.'
    >>> sentence_of(KeyError("defect")) is None
    True
    """
    if isinstance(error, DeepDFTError):
        return str(error)
    if isinstance(error, OSError):
        return system_sentence(error)
    if isinstance(error, RecursionError):
        return "The input is nested too deeply to be read; flatten it."
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError | ImportError | SystemError) and _MEMORY.search(text)
    ):
        return _memory_sentence(text)
    if isinstance(error, ValueError) and _NO_NAME.search(text):
        return "A name holds a character that no file can have in its name; correct it."
    number = _number_of(error)
    if number in _ADVICE and isinstance(error, RuntimeError | ImportError | _weights_error()):
        return system_sentence(OSError(number, ""))
    if isinstance(error, _weights_error()):
        return f"A file of weights is damaged or cannot be written: {text}."
    return None


_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_IN_PART = re.compile(r"requested and \d+ written")
_PART = "the disk took only a part of it; it is full, or limited"
"""What NumPy says where the disk took a part; it does not say why."""


def refused_by_disk(error: BaseException, place: str | os.PathLike[str]) -> str | None:
    """Return the sentence about an error because of which `place` could not be written, or None."""
    if isinstance(error, DeepDFTError):
        return str(error) if isinstance(error, RefusedBySystemError) else None
    if isinstance(error, OSError) and _IN_PART.search(str(error)):
        return f"{os.fspath(place)} cannot be written: {_PART}."
    number = _number_of(error)
    return unwritable(OSError(number, ""), place) if number in _DISK else None


def unwritable(error: OSError, place: str | os.PathLike[str]) -> str:
    """Return the sentence about `place`, which could not be written."""
    return f"{shortened(os.fspath(place))} cannot be written: {_reason(error)}."


def system_sentence(error: OSError) -> str:
    """Return the sentence about an error of the system."""
    reason = _reason(error)
    where = error.filename2 or error.filename
    if where is None or isinstance(where, int):
        return f"{reason[:1].upper()}{reason[1:]}."
    return f"{shortened(os.fsdecode(where))}: {reason}."


def _reason(error: OSError) -> str:
    """Return what is wrong and what to do."""
    number = _number_of(error)
    if number is None and _IN_PART.search(str(error)):
        return _PART
    return _ADVICE.get(number or 0) or error.strerror or str(error) or "the system refuses it"


def _number_of(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    text = str(error)
    if found := _NUMBER.search(text):
        return int(found[1])
    return next((number for words, number in _WORDS.items() if text.endswith(words)), None)


def _weights_error() -> type[Exception]:
    """Return the class of the errors of safetensors, if it is at work."""
    module = sys.modules.get("safetensors")
    found: type[Exception] = DeepDFTError if module is None else module.SafetensorError
    return found


def _memory_sentence(text: str) -> str:
    size = re.search(r"(?:allocate|tried to allocate) ([\d.]+ ?(?:[KMGTP]i?B|bytes))", text, re.I)
    asked = f" ({size[1]} were asked for)" if size else ""
    return (
        f"There is not enough memory{asked}: end other programs, raise the limit (ulimit -v), or "
        "ask for less at once, as a coarser grid or fewer threads."
    )


def ending_of(error: BaseException) -> tuple[str, int] | None:
    """Return the word and the exit code of a request to end; None for any other error.

    >>> ending_of(KeyboardInterrupt()), ending_of(Terminated(15))
    (('interrupted', 130), ('terminated', 143))
    """
    if not isinstance(error, KeyboardInterrupt):
        return None
    number = error.signal if isinstance(error, Terminated) else int(signal.SIGINT)
    words: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
    return words.get(number) or f"ended by {signal.Signals(number).name}", 128 + number


@contextmanager
def signals_raise() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that what is under way is cleaned up.

    Compiled code that is interrupted may raise an error of its own, as extensions do that are just
    imported ("failed to import"); after a signal, SIGINT included, that is taken for the end too.

    In a callback from compiled code nothing can be raised; the signal is then sent once more, a
    little later. A thread that has too little memory to begin ends the process: whoever began it
    would wait for ever.

    A signal that is ignored, as SIGHUP under `nohup`, stays so. Only the main thread can do this;
    elsewhere nothing changes.
    """
    told: list[int] = []

    def end(number: int, frame: FrameType | None) -> NoReturn:
        told.append(number)
        raise _request_to_end(number)

    before = {}
    for name, usual in _USUAL_HANDLERS.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None or signal.getsignal(number) is not usual:
            continue
        with suppress(ValueError):  # not the main thread
            before[number] = signal.signal(number, end)
    usual_hook = sys.unraisablehook
    hook = _unraisable_hook(told, usual_hook)
    if before:
        sys.unraisablehook = hook
    try:
        yield
    except Exception as error:
        if told:
            raise _request_to_end(told[-1]) from error
        raise
    finally:
        if sys.unraisablehook is hook:
            sys.unraisablehook = usual_hook
        for number, handler in before.items():
            signal.signal(number, handler)


_WITHOUT_MEMORY = f"deepdft: {_memory_sentence('')}\n".encode()
"""Made beforehand, for then there is no room for it."""


def _end_without_memory() -> NoReturn:
    try:
        os.write(2, _WITHOUT_MEMORY)
    finally:
        os._exit(2)


def _unraisable_hook(
    told: list[int], usual: Callable[[sys.UnraisableHookArgs], object]
) -> Callable[[sys.UnraisableHookArgs], None]:
    """Return what is done with errors that cannot be raised where they occur.

    Args:
        told: signals that have been raised, to which more are added.
        usual: is done with all others.
    """

    def hook(lost: sys.UnraisableHookArgs) -> None:
        try:
            is_thread = "thread started" in (lost.err_msg or "")
            has_no_memory = is_thread and isinstance(lost.exc_value, MemoryError)
        except MemoryError:
            has_no_memory = True
        if has_no_memory:
            _end_without_memory()
        if not told or not isinstance(lost.exc_value, KeyboardInterrupt):
            usual(lost)
            return
        timer = threading.Timer(_AGAIN, os.kill, (os.getpid(), told[-1]))
        timer.daemon = True
        timer.start()

    return hook


def _request_to_end(number: int) -> KeyboardInterrupt:
    return KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)
