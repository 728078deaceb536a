"""From the density to electronic structure: charges, moments, potentials, energies, faster DFT.

import deepdft
from deepdft.electronic import from_density, initial_guess

model = deepdft.load_model("default")
found = from_density(model.engine(atoms))
found.energy, found.homo, found.lumo, found.dipole

mf.kernel(dm0=initial_guess(mf))         # an SCF calculation of PySCF's
"""

from deepdft.electronic.cp2k_start import cp2k_start
from deepdft.electronic.from_density import from_density
from deepdft.electronic.gamma_point import GammaOrbitals, orbitals_at_gamma
from deepdft.electronic.initial_guess import initial_guess
from deepdft.electronic.pyscf_objects import to_pyscf
from deepdft.electronic.structure import ElectronicStructure
from deepdft.electronic.vasp_start import vasp_start

__all__ = [
    "ElectronicStructure",
    "GammaOrbitals",
    "cp2k_start",
    "from_density",
    "initial_guess",
    "orbitals_at_gamma",
    "to_pyscf",
    "vasp_start",
]
