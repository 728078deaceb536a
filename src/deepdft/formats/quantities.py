"""What the values of a file are: an electron density, or something stored in the same layout.

Orbitals, potentials, the electron localisation function and difference densities come under the
name of a density. They are refused with a sentence unless asked for by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from deepdft.density import Density
from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.units import BOHR, HARTREE, PER_CUBIC_BOHR


@dataclass(frozen=True)
class Quantity:
    """A kind of values.

    Attributes:
        name: what the option `quantity` calls it.
        title: with its article, for messages.
        atomic_unit: the value, in our units, of one atomic unit: e/Å^3 of e/bohr^3, Å^-3/2 of
            bohr^-3/2, eV of hartree.
        is_density: whether it scales with the volume as a density does.
        words: what the comment of such a file says.
    """

    name: str
    title: str
    atomic_unit: float
    is_density: bool
    words: re.Pattern[str]


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


QUANTITIES = {
    quantity.name: quantity
    for quantity in (
        Quantity(
            "difference-density",
            "a difference density",
            PER_CUBIC_BOHR,
            True,
            _words(r"\b(difference|deformation)\b|\bdelta[ -]?rho\b"),
        ),
        Quantity(
            "spin-density",
            "a spin density",
            PER_CUBIC_BOHR,
            True,
            _words(r"\bspin[ _-]?(density|dens)\b|\bmagneti[sz]ation density\b"),
        ),
        Quantity(
            "density",
            "an electron density",
            PER_CUBIC_BOHR,
            True,
            _words(r"\b(electron|electronic|charge|valence|total|scf|mp2|cc)[ _-]+(density|rho)\b"),
        ),
        Quantity(
            "elf",
            "an electron localisation function",
            1.0,
            False,
            _words(r"\bELF\b|locali[sz]ation function"),
        ),
        Quantity(
            "potential",
            "a potential",
            HARTREE,
            False,
            _words(r"\bpotential\b|\bESP\b|\bLOCPOT\b"),
        ),
        Quantity(
            "orbital",
            "an orbital",
            BOHR**-1.5,
            False,
            _words(r"\bMO coefficients\b|\bHOMO\b|\bLUMO\b|\borbital\b|\bwave ?function\b"),
        ),
        Quantity(
            "partial-density",
            "the density of some bands",
            PER_CUBIC_BOHR,
            True,
            _words(r"\bPARCHG\b"),
        ),
    )
}


def find_quantity(name: str) -> Quantity:
    """Return the quantity of that name.

    Raises:
        ConfigurationError: if there is none.
    """
    if name not in QUANTITIES:
        raise ConfigurationError(
            f"There is no quantity '{name}' (known: {', '.join(QUANTITIES)})."
            f"{did_you_mean(name, QUANTITIES)}"
        )
    return QUANTITIES[name]


def recognise(path: str, asked: str | None, comment: str) -> Quantity:
    """Return what a file holds: what was asked for, else a density if nothing speaks against it.

    Raises:
        FileFormatError: if the comment says that it is something else.
    """
    if asked is not None:
        return find_quantity(asked)
    for quantity in QUANTITIES.values():
        match = quantity.words.search(comment)
        if match is not None:
            if quantity.name != "density":
                raise refusal(path, quantity.name, f"its comment says '{match[0]}'")
            break
    return QUANTITIES["density"]


def require_density(path: str, name: str | None, asked: str | None) -> None:
    """Raise `FileFormatError` if a file of ours names another quantity and none was asked for."""
    if asked is None and name in QUANTITIES and name != "density":
        raise refusal(path, name, f"it says so ({name})")


def as_asked(path: str, density: Density, asked: str | None) -> Density:
    """Return what a file of ours holds, if it is a density or is the quantity asked for.

    Raises:
        FileFormatError: if it is another quantity, and none was asked for.
        ConfigurationError: if there is no quantity of that name.
    """
    require_density(path, density.metadata.get("quantity"), asked)
    if asked is None:
        return density
    metadata = {key: value for key, value in density.metadata.items() if key != "quantity"}
    if find_quantity(asked).name != "density":
        metadata["quantity"] = asked
    return replace(density, metadata=metadata)


def refusal(path: str, name: str, evidence: str) -> FileFormatError:
    """Return the error for a file that holds something else than a density."""
    quantity = QUANTITIES[name]
    return FileFormatError(
        f"{path} seems to hold {quantity.title}, not an electron density: {evidence}; pass "
        f"quantity='{name}' to read it as that, or quantity='density' to insist."
    )
