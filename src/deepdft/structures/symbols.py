"""What files write where an element should stand: symbols, numbers, labels, isotopes, ghosts."""

from __future__ import annotations

import re
from typing import NamedTuple

from ase.data import atomic_numbers, chemical_symbols

from deepdft.errors import FileFormatError, did_you_mean

GHOST = 0
"""Atomic number of a centre without a nucleus: it may carry basis functions, never electrons."""

_ISOTOPES = {"D": "deuterium", "T": "tritium"}

_GHOST = re.compile(
    r"@\w*|(bq|xx?|gh|gho|ghost|va|vac|vacancy|du|dum|dummy|lp|q|ep|em|null)"
    r"([\d*#]+|[-_:.( ].*|(?<=gh)[a-z]{1,2}\d*|(?<=bq)[a-z]{1,2}\d*)?"
    r"|[a-z]{1,2}\d*([-_:.(](bq|gh|gho|ghost)\)?|:)",
    re.IGNORECASE,
)
"""`Bq`, `X`, `Xx`, `Gh`, `GhO`, `Ghost-O`, `Va`, `Vac`, `Du`, `Lp`, `X1`, `Bq(O)`, `O-Bq`, `@O`."""

_LABEL = re.compile(r"([A-Za-z]{1,2})(?![A-Za-z])")
_ISOTOPE_NUMBER = re.compile(r"\[?\d{1,3}([A-Za-z]{1,2})\]?")


class Symbol(NamedTuple):
    """What a name stands for.

    Attributes:
        number: atomic number, `GHOST` for a centre without a nucleus.
        assumed: what was assumed to read it so, or an empty string.
    """

    number: int
    assumed: str = ""


def symbol_of(name: str) -> Symbol | None:
    """Return what `Fe`, `FE`, `fe`, `26`, `Fe1`, `Fe_pv`, `Fe3+`, `D`, `13C` or `Bq` stands for.

    Returns:
        None where it is none of these.
    """
    name = name.strip()
    if re.fullmatch(r"[+-]?\d+", name):
        number = int(name) if len(name) < 5 else len(chemical_symbols)
        return None if number >= len(chemical_symbols) else Symbol(max(number, GHOST))
    if name.capitalize() in atomic_numbers and name.capitalize() != "X":
        return Symbol(atomic_numbers[name.capitalize()])
    if _GHOST.fullmatch(name):
        return Symbol(GHOST)
    match = _LABEL.match(name) or _ISOTOPE_NUMBER.fullmatch(name)
    if match is None:
        return None
    letters = match[1]
    if letters in _ISOTOPES:
        return Symbol(1, f"{name} is {_ISOTOPES[letters]}: hydrogen")
    number = atomic_numbers.get(letters.capitalize(), GHOST)
    if number == GHOST:
        return None
    doubtful = len(letters) == 2 and letters.isupper()
    element = chemical_symbols[number]
    return Symbol(number, f"the label {name} was read as {element}" if doubtful else "")


def require_symbol(name: str, place: str) -> Symbol:
    """Return what a name stands for.

    Args:
        name: as written.
        place: where it was, to begin the message with: "line 4 of water.xyz".

    Raises:
        FileFormatError: if it is no element, label or ghost.
    """
    symbol = symbol_of(name)
    if symbol is None:
        raise FileFormatError(
            f"{place}: '{name[:20]}' is no element symbol, label or atomic number."
            f"{did_you_mean(name, chemical_symbols[1:])}"
        )
    return symbol
