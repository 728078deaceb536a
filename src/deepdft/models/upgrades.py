"""Descriptions of model folders of earlier formats brought up to date, one format at a time.

A new format gets its number in `FORMAT` and a function that makes the description before it one
of its own; `_UPGRADES` names them all. Folders of every format are kept in the tests.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepdft.errors import FileFormatError

FORMAT = 2


def upgraded(description: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a description in today's format.

    Args:
        description: the content of a `model.json`.
        path: where it is from, for messages.

    Raises:
        FileFormatError: for a format that is not known.
    """
    known = description["format"]
    if type(known) is not int or known not in range(1, FORMAT + 1):
        raise FileFormatError(
            f"{path} has format {str(known)[:40]}, which this version of deepdft does not "
            "know; use a newer one."
        )
    while description["format"] < FORMAT:
        description = _UPGRADES[description["format"]](description)
    return description


def upgrade_1_to_2(description: dict[str, Any]) -> dict[str, Any]:
    """Format 2 keeps the atomic tables in the folder; before, only their name was there."""
    return description | {"format": 2, "tables": None}


_UPGRADES = {1: upgrade_1_to_2}
