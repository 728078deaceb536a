"""ASE's readers without half a second of SciPy that reading does not need."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from deepdft.imports import postponed


def ase_io() -> ModuleType:
    """Return the module `ase.io`."""
    # For functions of ASE's on densities of states and on crystals.
    with postponed("scipy.integrate", "scipy.spatial"):
        return import_module("ase.io")
