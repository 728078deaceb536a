"""What the comment of an XYZ frame says in words like ``key=value`` or ``key="several values"``."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from deepdft.structures.ase_io import ase_io

_WORD = re.compile(r"""\s*([A-Za-z_]\w*)=(?:"([^"\\]+)"|([^\s"'{}\[\]\\=]+))(?=\s|$)""")
_BOOLEANS = {"T": True, "F": False} | {
    word: word.casefold() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}


def comment_values(comment: str) -> dict[str, Any]:
    """Return the values by key, as ASE reads them: numbers, truth values, text, arrays of these.

    Raises:
        ValueError: or whatever ASE's parsing runs into, if that is no list of values.
    """
    values = _plain_values(comment)
    if values is not None:
        return values
    ase_io()
    from ase.io.extxyz import key_val_str_to_dict

    found: dict[str, Any] = key_val_str_to_dict(comment)
    return found


def _plain_values(comment: str) -> dict[str, Any] | None:
    """Return the values where nothing is nested, escaped or without a value, else None.

    Most comments are of this kind, and importing ASE's readers takes longer than reading.
    """
    found: dict[str, Any] = {}
    place = 0
    while word := _WORD.match(comment, place):
        key, quoted, bare = word.groups()
        text = bare if quoted is None else quoted
        if key.casefold() == "uid" or text.startswith("_JSON "):
            return None
        found[key] = _value(text)
        place = word.end()
    if comment[place:].strip():
        return None
    if "Lattice" in found:
        lattice = found["Lattice"]
        if np.shape(lattice) != (9,) or np.asarray(lattice).dtype.kind not in "if":
            return None
        found["Lattice"] = lattice.reshape((3, 3), order="F")
    return None if found.keys() & {"virial", "stress"} else found


def _value(text: str) -> Any:
    parts = re.findall(r"[^\s,]+", text)
    for kind in (int, float):
        try:
            numbers = np.array(parts, dtype=kind)
        except (ValueError, OverflowError):
            continue
        return numbers[0] if len(numbers) == 1 else numbers
    if all(part in _BOOLEANS for part in parts):
        flags = [_BOOLEANS[part] for part in parts]
        return flags[0] if len(flags) == 1 else flags
    return text
