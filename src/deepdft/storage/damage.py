"""What libraries say about damaged files, made fit for one sentence."""

from __future__ import annotations

import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from deepdft.errors import DeepDFTError, FileFormatError

_LONGEST = 120

DAMAGE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError, OSError,
    EOFError, SyntaxError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error,
    lzma.LZMAError, struct.error, tokenize.TokenError,
)  # fmt: skip
"""What readers of damaged files raise, our own sentences apart."""


def reason_of(error: BaseException) -> str:
    """Return the first line of an error's message, printable and short."""
    text = str(error).strip().split("\n")[0] or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


@contextmanager
def reported(path: str | Path, problem: str = "is damaged") -> Iterator[None]:
    """Turn what reading a damaged file raises into a sentence; sentences stay as they are.

    Args:
        path: the file.
        problem: what follows it in the sentence, before the reason.

    Raises:
        FileFormatError: instead of `DAMAGE`.
    """
    try:
        yield
    except DeepDFTError:
        raise
    except DAMAGE as error:
        reason = reason_of(error).rstrip(".")
        raise FileFormatError(f"{path} {problem}: {reason}.") from None
