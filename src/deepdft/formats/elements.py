"""Names and numbers of elements as files write them, and centres that are no atoms.

Ghosts (centres of basis functions without a nucleus), dummies and vacancies have atomic number 0
or, in SIESTA, a negative one. SIESTA's synthetic atoms, mixtures of elements, are above 200.
Readers hand these numbers on as they are; `without_ghosts` takes such centres out, alike for every
format.
"""

from __future__ import annotations

import re

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import NDArray

_LABEL = re.compile(r"([A-Za-z]{1,2})")
_GHOST = re.compile(
    r"@|bq|gh|x(?!e)|(q|du|dum|dummy|va|vac|vacancy|lp|ep|em)(?![a-z])"
    r"|[a-z]{1,2}\d*([-_.(:]?(bq|gh|ghost)\b|:$)",
    re.IGNORECASE,
)
"""Labels of ghosts: `Bq1`, `bqO`, `Gh(O)`, `GHOST-C`, `X`, `Du`, `Vac`, `@H`, `O:`, `H_ghost`."""
_ISOTOPES = {"D": 1, "T": 1}
_SYNTHETIC = 200
"""SIESTA numbers mixtures of elements from here on."""


def atomic_number(name: str) -> int | None:
    """Return the atomic number of `26`, `Fe`, `FE`, `Fe1`, `Fe_pv` or `Fe_pv/6a2f546d`, or None.

    Of a ghost it is 0, or the number that the file gives it (see `is_centre`).
    """
    digits = name.removeprefix("-")
    if digits.isascii() and digits.isdecimal():
        number = int(name[:5])
        return number if is_centre(number) else None
    if _GHOST.match(name):
        return 0
    match = _LABEL.match(name)
    if match is None:
        return None
    letters = match[1].capitalize()
    for candidate in (letters, letters[:1]):
        if candidate in atomic_numbers:
            return int(atomic_numbers[candidate])
    return _ISOTOPES.get(letters[:1])


def is_centre(number: float) -> bool:
    """Return whether a number stands for an element, a ghost or a synthetic atom."""
    largest = len(chemical_symbols)
    return number in range(-largest + 1, largest) or number - _SYNTHETIC in range(1, largest)


def without_ghosts(atoms: Atoms, notes: list[str]) -> tuple[Atoms, NDArray[np.bool_]]:
    """Return the atoms that are elements, and which those are, (n,); a note tells of the others."""
    synthetic = atoms.numbers > _SYNTHETIC
    ghosts = atoms.numbers <= 0
    if ghosts.any():
        notes.append(
            f"Centres without a nucleus (ghosts, dummies, vacancies) were left out: "
            f"{_places(ghosts)}."
        )
    if synthetic.any():
        notes.append(
            f"Warning: synthetic atoms, mixtures that no element describes, were left out: "
            f"{_places(synthetic)}; the density has their electrons."
        )
    kept = ~(ghosts | synthetic)
    return (atoms if kept.all() else atoms[kept]), kept


def _places(chosen: NDArray[np.bool_]) -> str:
    places = np.flatnonzero(chosen)
    noun = "atom" if len(places) == 1 else "atoms"
    more = f" and {len(places) - 10} more" if len(places) > 10 else ""
    return f"{noun} {', '.join(str(place + 1) for place in places[:10])}{more} of the file"
