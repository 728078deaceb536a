"""Superposed densities of free atoms: what is known of a density before any calculation."""

from deepdft.fields.atoms.field import SuperposedAtoms
from deepdft.fields.atoms.tables import AtomicDensityTables

__all__ = ["AtomicDensityTables", "SuperposedAtoms"]
