"""Free neutral atoms with all their electrons, and the closed shells inside them."""

from deepdft.fields.free_atoms.cores import FrozenCores
from deepdft.fields.free_atoms.tables import FreeAtomTables

__all__ = ["FreeAtomTables", "FrozenCores"]
