"""Which shipped atomic tables fit given data."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import files

from ase.data import chemical_symbols

from deepdft.errors import ConfigurationError
from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.levels import LevelOfTheory


def shipped_tables() -> list[str]:
    """Return the names of the tables that come with the package."""
    folder = files("deepdft.fields.atoms")
    return sorted(item.name[:-4] for item in folder.iterdir() if item.name.endswith(".npz"))


def tables_for_level(level: LevelOfTheory, elements: Sequence[int]) -> str:
    """Return the name of the shipped tables of a level of theory.

    Args:
        level: level of theory of the data; functional, core and basis must all be those of the
            tables.
        elements: atomic numbers that must be covered.

    Raises:
        ConfigurationError: if no shipped tables fit.
    """
    wanted = {chemical_symbols[z] for z in elements}
    known = []
    for name in shipped_tables():
        tables = AtomicDensityTables.load(name)
        same = all(
            getattr(tables.level, part).casefold() == getattr(level, part).casefold()
            for part in ("functional", "core", "basis")
        )
        if same and wanted <= set(tables.elements):
            return name
        known.append(f"{name} ({tables.level}; {', '.join(tables.elements)})")
    raise ConfigurationError(
        f"No atomic densities are shipped for {level} and {', '.join(sorted(wanted))}; there are "
        f"{'; '.join(known)}."
    )
