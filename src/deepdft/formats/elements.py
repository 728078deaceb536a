"""Names of elements as files write them."""

from __future__ import annotations

import re

from ase.data import atomic_numbers, chemical_symbols

_LABEL = re.compile(r"([A-Za-z]{1,2})")


def atomic_number(name: str) -> int | None:
    """Return the atomic number of `26`, `Fe`, `FE`, `Fe1`, `Fe_pv` or `Fe_pv/6a2f546d`, or None."""
    if name.isascii() and name.isdigit():
        number = int(name[:4])
        return number if number < len(chemical_symbols) else None
    match = _LABEL.match(name)
    if match is None:
        return None
    letters = match[1].capitalize()
    for candidate in (letters, letters[:1]):
        if candidate in atomic_numbers:
            return int(atomic_numbers[candidate])
    return None
