"""How commands end: one sentence on stderr, and an exit code that scripts can rely on.

0    done
1    done in part: what was skipped or failed is listed
2    refused: the sentence says what is wrong, where and what to do
130  interrupted (Ctrl-C)
143  terminated (SIGTERM, as batch systems send it)
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

from deepdft.extras import missing_extra
from deepdft.failures import ending_of, sentence_of, signals_raise
from deepdft.threads import is_first_process

DONE_IN_PART = 1
REFUSED = 2


@contextmanager
def ended_with_a_sentence() -> Iterator[None]:
    """Turn what ends a command into one line on stderr and `SystemExit`.

    Defects of ours keep their traceback.
    """
    try:
        with signals_raise():
            yield
    except BrokenPipeError:
        # Whoever read the output has seen enough, as `deepdft models | head`.
        _silence_stdout()
        sys.exit(DONE_IN_PART)
    except KeyboardInterrupt as error:
        _leave_interrupted(error)
    except SystemExit as left:
        # Of an interrupt Typer makes an exit without a word.
        cause = getattr(left.__context__, "__cause__", None)
        if isinstance(cause, KeyboardInterrupt):
            _leave_interrupted(cause)
        raise
    except Exception as error:
        sentence = sentence_of(error)
        if isinstance(error, ModuleNotFoundError):
            missing = missing_extra(error, f"'{' '.join(['deepdft', *sys.argv[1:2]])}'")
            sentence = None if missing is None else str(missing)
        if sentence is None:
            raise
        leave(sentence, REFUSED)


def _leave_interrupted(error: KeyboardInterrupt) -> NoReturn:
    ending = ending_of(error)
    assert ending is not None
    leave(ending[0], ending[1])


def leave(sentence: str, code: int) -> NoReturn:
    """Print a sentence and leave; of the processes of one training the first tells of an end."""
    if code < 128 or is_first_process():
        with suppress(OSError):  # stderr may lie on the full disk
            print(f"deepdft: {sentence}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:
        _silence_stdout()
    sys.exit(code)


def _silence_stdout() -> None:
    """Keep the interpreter from failing once more when it flushes stdout at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
