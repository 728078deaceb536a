"""Structures for density files that have none of their own."""

from __future__ import annotations

from ase import Atoms

from deepdft.errors import ConfigurationError


def read_structure(path: str) -> Atoms:
    """Read a structure from any file that ASE reads.

    Raises:
        ConfigurationError: if ASE cannot read the file, or it has no atoms.
    """
    from deepdft.structures.ase_io import ase_io

    try:
        atoms = ase_io().read(path)
    except Exception as error:  # whatever ASE's many readers raise
        raise ConfigurationError(f"{path} cannot be read by ASE: {error}") from None
    assert isinstance(atoms, Atoms)
    if len(atoms) == 0:
        raise ConfigurationError(f"{path} has no atoms.")
    return Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
