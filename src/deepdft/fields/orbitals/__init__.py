"""Densities given by occupied orbitals in a Gaussian basis: exact at any point."""

from deepdft.fields.orbitals.archive import OrbitalArchive, write_orbital_archive
from deepdft.fields.orbitals.basis import BasisSet, Shell, contracted_shell, load_basis
from deepdft.fields.orbitals.density import OrbitalDensity

__all__ = [
    "BasisSet",
    "OrbitalArchive",
    "OrbitalDensity",
    "Shell",
    "contracted_shell",
    "load_basis",
    "write_orbital_archive",
]
