"""JSON of strangers: read from regular files of sensible size, or a sentence why not."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from deepdft.errors import FileFormatError

LARGEST_DOCUMENT = 64 << 20
"""Bytes of a JSON or YAML document: descriptions, cards, indices, splits and configurations."""


def read_document(path: str | Path) -> str:
    """Return the text of a document.

    Raises:
        FileFormatError: if it is no regular file (a pipe would be waited for without end), too
            large, not UTF-8, or cannot be read.
    """
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise FileFormatError(f"{path} is no regular file.")
        if state.st_size > LARGEST_DOCUMENT:
            raise FileFormatError(
                f"{path} has {state.st_size >> 20} MiB; a description has at most "
                f"{LARGEST_DOCUMENT >> 20} MiB."
            )
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise FileFormatError(f"{path} is not text in UTF-8.") from None
    except ValueError as error:  # a NUL in the path
        raise FileFormatError(f"{str(path)!r} is no path: {error}.") from None


def read_json(path: str | Path) -> Any:
    """Return what a JSON file holds.

    Raises:
        FileFormatError: see `read_document` and `parse_json`.
    """
    return parse_json(read_document(path), path)


def parse_json(text: str | bytes, place: str | Path) -> Any:
    """Return what JSON says.

    Raises:
        FileFormatError: if it is not valid, or nested too deeply; `place` begins the message.
    """
    try:
        return json.loads(text)
    except ValueError as error:
        raise FileFormatError(f"{place} is not valid JSON: {error}.") from None
    except RecursionError:
        raise FileFormatError(f"{place} is not valid: it is nested too deeply.") from None
