"""From a level of theory to the calculation of PySCF that has it."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from deepdft.dft.functionals import libxc_code
from deepdft.dft.pyscf import PySCFSettings
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.levels import LevelOfTheory

_HERE = PySCFSettings()
_NAMES = {"core": _HERE.pseudopotential, "basis": _HERE.basis}


def settings_of(level: LevelOfTheory) -> PySCFSettings:
    """Return the settings with which PySCF calculates at a level of theory.

    Raises:
        LevelOfTheoryError: if it is not known, or not one that PySCF is used at here.
    """
    unknown = [f.name for f in fields(level)[:3] if not getattr(level, f.name)]
    if unknown:
        raise LevelOfTheoryError(
            f"Energies and orbitals need the level of theory of the density, and of this one "
            f"({level}) the {' and the '.join(unknown)} {_are(unknown)} not known."
        )
    other = [
        f"{name} {getattr(level, name)} (instead of {known})"
        for name, known in _NAMES.items()
        if getattr(level, name).casefold() != known
    ]
    if other:
        raise LevelOfTheoryError(
            f"Energies and orbitals are calculated with PySCF, and a density at {level} has "
            f"{' and '.join(other)}."
        )
    return PySCFSettings(functional=level.functional)


def semilocal_kind(functional: str) -> str:
    """Return "LDA" or "GGA", the kind of a functional of the density alone.

    Raises:
        ConfigurationError: if it needs the orbitals.
    """
    from pyscf.dft import libxc

    code = libxc_code(functional)
    kind = str(libxc.xc_type(code))
    if kind not in ("LDA", "GGA") or libxc.is_hybrid_xc(code) or libxc.is_nlc(code):
        raise ConfigurationError(
            f"The functional {functional} depends on more than the density and its gradient, which "
            "is all that a density gives."
        )
    return kind


def require_same_cores(molecule: Any, level: LevelOfTheory) -> None:
    """Refuse a molecule of PySCF in which something else stands for the cores than at a level.

    Raises:
        LevelOfTheoryError: naming both.
    """
    from pyscf import gto

    expected = _NAMES["core"]
    symbols = {molecule.atom_pure_symbol(i) for i in range(molecule.natm)}
    known = gto.format_pseudo(dict.fromkeys(symbols, expected))
    used = molecule._pseudo
    if level.core.casefold() == expected and all(used.get(s) == known[s] for s in symbols):
        return
    named = molecule.pseudo if isinstance(molecule.pseudo, str) else "other pseudopotentials"
    found = named if used else "ECP" if molecule._ecp else "all electrons"
    raise LevelOfTheoryError(
        f"The calculation uses {found}, and the density is of {level.core or 'unknown cores'}: "
        "a density of one core treatment is no start for another."
    )


def _are(names: list[str]) -> str:
    return "is" if len(names) == 1 else "are"
