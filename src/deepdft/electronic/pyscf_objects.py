"""Structures as molecules of PySCF."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from deepdft.dft.pyscf import PySCFSettings, molecule_of
from deepdft.electronic.theory import settings_of
from deepdft.extras import require_extra
from deepdft.levels import LevelOfTheory
from deepdft.structures import understood_atoms


def to_pyscf(structure: Any, level: LevelOfTheory | None = None) -> Any:
    """Return a structure as PySCF's `Mole`, with the basis set and pseudopotentials of a level.

    Args:
        structure: of ASE, pymatgen, RDKit or PySCF.
        level: level of theory; by default PBE/GTH-PBE/gth-dzvp, that of the bundled models for
            molecules.

    Raises:
        LevelOfTheoryError: if PySCF is not used here at the level of theory.
        UnsupportedStructureError: if the structure cannot be what was meant.
        MissingDependencyError: if PySCF is not installed.
    """
    require_extra("pyscf", "A molecule of PySCF")
    settings = PySCFSettings() if level is None else settings_of(level)
    return molecule_of(understood_atoms(structure).atoms, settings, Path(os.devnull))
