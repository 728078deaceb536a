"""The ions that go with a valence density: how many electrons its level of theory leaves out."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.levels import LevelOfTheory
from deepdft.models.bundled import bundled_models
from deepdft.models.folder import read_description


def core_charges_at(level: LevelOfTheory, atoms: Atoms) -> FloatArray:
    """Return the charges (atoms,) of the nuclei with the electrons that a density leaves out.

    Known for all-electron densities, and for levels of theory and elements of the bundled models.

    Raises:
        LevelOfTheoryError: if they are not known.
    """
    if level.core.casefold().startswith("all-electron"):
        return np.asarray(atoms.numbers, dtype=np.float64)
    symbols = set(atoms.symbols)
    for folder in bundled_models().values():
        description = read_description(folder)
        same = (
            LevelOfTheory.from_dict(description["level"]).core.casefold() == level.core.casefold()
        )
        counts = description["card"].get("electrons") or {}
        if level.core and same and symbols <= set(counts):
            return np.array([counts[symbol] for symbol in atoms.symbols], dtype=np.float64)
    raise LevelOfTheoryError(
        f"How many electrons a density at {level} leaves out of {', '.join(sorted(symbols))} is "
        "not known; give core_charges, the charge of every nucleus with its core."
    )


def clouds_at(level: LevelOfTheory, atoms: Atoms) -> AtomicDensityTables | None:
    """Return the shipped atomic densities of a level of theory; None where there are none."""
    try:
        return AtomicDensityTables.load(tables_for_level(level, sorted(set(atoms.numbers))))
    except ConfigurationError:
        return None
