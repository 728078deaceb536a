"""What the system refuses is a sentence, whichever library said it."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors import SafetensorError

from deepdft.errors import ConfigurationError
from deepdft.failures import (
    RefusedBySystemError,
    Terminated,
    ending_of,
    refused_by_disk,
    sentence_of,
    signals_raise,
)
from deepdft.storage.replace import replacing


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "", "a.cube"), "a.cube: no space is left on the disk; free"),
        (OSError(errno.EROFS, "", b"a\xff"), "the file system is read-only; name"),
        (OSError(errno.EMFILE, "", "x"), "too many files open; raise the limit (ulimit -n)"),
        (OSError(errno.EFBIG, ""), "It would be larger than files may be here; raise"),
        (OSError(errno.ENAMETOOLONG, "", "n" * 5000), "...nnnn"),
        (OSError(errno.EXDEV, "Invalid cross-device link", "x"), "x: Invalid cross-device link"),
        (OSError("100 requested and 8 written"), "The disk took only a part of it"),
        (SafetensorError("I/O error: No space left (os error 28)"), "No space is left"),
        (SafetensorError("invalid header"), "A file of weights is damaged"),
        (MemoryError(), "There is not enough memory: end"),
        (np._core._exceptions._ArrayMemoryError((10**6, 10**4), np.dtype(float)), "(74.5 GiB were"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "not enough memory"),
        (ImportError("x.so: failed to map segment from shared object"), "not enough memory"),
        (SystemError("error return without exception set"), "not enough memory"),
        (RuntimeError("can't start new thread"), "not enough memory"),
        (RuntimeError("a thread: Resource temporarily unavailable"), "no room for it now; raise"),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply"),
        (ValueError("embedded null byte"), "A name holds a character"),
        (ConfigurationError("What is wrong."), "What is wrong."),
    ],
)
def test_errors_of_the_machine_are_sentences(error, words):
    sentence = sentence_of(error)
    assert words in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 400
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), ValueError("os error 28"), RuntimeError("shapes"), SystemError("defect")],
)
def test_defects_keep_their_traceback(error):
    assert sentence_of(error) is None


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (SafetensorError("I/O error (os error 27)"), True),
        (OSError("Can't write data (errno = 28, error message = 'No space left on device'"), True),
        (OSError("100 requested and 8 written"), True),
        (OSError(errno.ENOENT, "", "input"), False),
        (ValueError("wrong"), False),
    ],
)
def test_only_errors_of_the_disk_are_about_what_was_written(tmp_path, error, known):
    assert (refused_by_disk(error, "x") is not None) == known
    (tmp_path / "kept").write_text("old")
    expected = RefusedBySystemError if known else type(error)
    with pytest.raises(expected) as raised, replacing(tmp_path / "kept"):
        raise error
    if known:
        assert str(raised.value).startswith(f"{tmp_path / 'kept'} cannot be written: ")
    assert os.listdir(tmp_path) == ["kept"]
    assert (tmp_path / "kept").read_text() == "old"


@pytest.mark.parametrize(
    ("number", "ending"),
    [(signal.SIGTERM, ("terminated", 143)), (signal.SIGHUP, ("ended by SIGHUP", 129))],
)
def test_signals_raise_while_a_command_runs(number, ending):
    before = signal.signal(number, signal.SIG_DFL)
    try:
        with pytest.raises(Terminated) as raised, signals_raise():
            signal.raise_signal(number)
        assert ending_of(raised.value) == ending
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_compiled_code_makes_an_error_of_is_the_end(number, code):
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)

    def load():
        try:
            signal.raise_signal(number)
        except KeyboardInterrupt:
            raise ImportError("an extension failed to import") from None

    try:
        with pytest.raises(KeyboardInterrupt) as raised, signals_raise():
            load()
        assert ending_of(raised.value)[1] == code
        with pytest.raises(ImportError), signals_raise():
            raise ImportError("no signal")
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_a_callback_from_compiled_code_is_not_lost(number):
    usual = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    before = signal.signal(number, usual)
    hook = sys.unraisablehook

    @ctypes.CFUNCTYPE(None)
    def callback():
        signal.raise_signal(number)

    def work():
        callback()  # where nothing can be raised
        time.sleep(60)

    try:
        with pytest.raises(KeyboardInterrupt), signals_raise():
            work()
        assert sys.unraisablehook is hook
    finally:
        signal.signal(number, before)


def test_a_thread_without_the_memory_to_begin_ends_the_process():
    # Python itself raises it then, in the thread, and `start` would wait for ever.
    script = """
import threading
from deepdft.failures import signals_raise

def fail(thread):
    raise MemoryError

threading.Thread._bootstrap = fail
with signals_raise():
    threading.Thread(target=print).start()
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2
    assert ended.stderr.startswith("deepdft: There is not enough memory: end other programs")
    assert ended.stderr.count("\n") == 1


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_raise():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
