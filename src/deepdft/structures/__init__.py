"""The door for structures: any file or SMILES string in, what was meant out.

>>> from ase.build import molecule
>>> from deepdft.structures import understood_atoms
>>> understood_atoms(molecule("H2O"), charge=1).atoms.info["charge"]
1
"""

from deepdft.structures.charge import charge_and_multiplicity
from deepdft.structures.coverage import Coverage
from deepdft.structures.files import read_structures
from deepdft.structures.meaning import understood_atoms
from deepdft.structures.names import file_name
from deepdft.structures.smiles import atoms_from_smiles
from deepdft.structures.structure import ReadOptions, Structure
from deepdft.structures.symbols import GHOST, symbol_of

__all__ = [
    "GHOST",
    "Coverage",
    "ReadOptions",
    "Structure",
    "atoms_from_smiles",
    "charge_and_multiplicity",
    "file_name",
    "read_structures",
    "symbol_of",
    "understood_atoms",
]
