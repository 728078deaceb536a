"""From the density to electronic structure: charges, moments, potentials, energies, faster DFT.

import deepdft
from deepdft.electronic import from_density

model = deepdft.load_model("default")
found = from_density(model.engine(atoms))
found.energy, found.homo, found.lumo, found.dipole
"""

from deepdft.electronic.from_density import from_density
from deepdft.electronic.structure import ElectronicStructure

__all__ = ["ElectronicStructure", "from_density"]
