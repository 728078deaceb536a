"""Structures of other libraries: pymatgen's, RDKit's, PySCF's.

They are told by the library that made them; nothing is imported to find out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.structure import CHARGE, MULTIPLICITY
from deepdft.units import BOHR

_LIBRARIES = ("pymatgen", "rdkit", "pyscf")


def as_atoms(structure: Any) -> Atoms:
    """Return ASE atoms of a structure, whichever library made it.

    Args:
        structure: ASE atoms; a Structure, Molecule or SiteCollection of pymatgen; an RDKit molecule
            with hydrogen atoms and a conformer (the first one counts); a Mole or Cell of PySCF.
            Charge and multiplicity are kept.

    Raises:
        UnsupportedStructureError: if it is none of these.
    """
    if isinstance(structure, Atoms):
        return structure
    library = next(
        (
            base.__module__.partition(".")[0]
            for base in type(structure).__mro__
            if base.__module__.partition(".")[0] in _LIBRARIES
        ),
        None,
    )
    if library == "pymatgen" and hasattr(structure, "sites"):
        return _of_pymatgen(structure)
    if library == "rdkit" and hasattr(structure, "GetConformers"):
        return _of_rdkit(structure)
    if library == "pyscf" and hasattr(structure, "atom_coords"):
        return _of_pyscf(structure)
    raise UnsupportedStructureError(
        f"A {type(structure).__module__}.{type(structure).__name__} is not a structure that can be "
        "used; give ASE atoms, a structure of pymatgen, or a molecule of RDKit or PySCF."
    )


def _of_pymatgen(structure: Any) -> Atoms:
    if not structure.is_ordered:
        raise UnsupportedStructureError(
            f"{structure.composition.reduced_formula} has sites that are occupied in part; order "
            "it first (pymatgen's OrderDisorderedStructureTransformation)."
        )
    atoms = Atoms(
        numbers=[getattr(site.specie, "Z", 0) for site in structure.sites],
        positions=structure.cart_coords,
    )
    if hasattr(structure, "lattice"):
        atoms.set_cell(structure.lattice.matrix)
        atoms.pbc = structure.lattice.pbc
    elif getattr(structure, "spin_multiplicity", None):
        atoms.info[MULTIPLICITY] = int(structure.spin_multiplicity)
    if structure.charge:
        atoms.info[CHARGE] = round(float(structure.charge))
    return atoms


def _of_rdkit(molecule: Any) -> Atoms:
    from rdkit import Chem

    conformers = list(molecule.GetConformers())
    if not any(conformer.Is3D() for conformer in conformers):
        raise UnsupportedStructureError(
            "The RDKit molecule has no places of its atoms; embed it (Chem.AddHs, then "
            "AllChem.EmbedMolecule), or give its SMILES to deepdft.structures.atoms_from_smiles."
        )
    if Chem.AddHs(molecule).GetNumAtoms() != molecule.GetNumAtoms():
        raise UnsupportedStructureError(
            "The RDKit molecule has hydrogen atoms without places; add them before it is embedded "
            "(Chem.AddHs)."
        )
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    atoms = Atoms(numbers=numbers, positions=np.array(conformers[0].GetPositions()))
    charge = int(Chem.GetFormalCharge(molecule))
    if charge:
        atoms.info[CHARGE] = charge
    unpaired = sum(atom.GetNumRadicalElectrons() for atom in molecule.GetAtoms())
    if unpaired:
        atoms.info[MULTIPLICITY] = unpaired + 1
    return atoms


def _of_pyscf(molecule: Any) -> Atoms:
    numbers = [atomic_numbers[molecule.atom_pure_symbol(i)] for i in range(molecule.natm)]
    atoms = Atoms(numbers=numbers, positions=molecule.atom_coords(unit="Angstrom"))
    if hasattr(molecule, "lattice_vectors"):
        atoms.set_cell(molecule.lattice_vectors() * BOHR)
        atoms.pbc = np.arange(3) < getattr(molecule, "dimension", 3)
    if molecule.charge:
        atoms.info[CHARGE] = int(molecule.charge)
    if molecule.spin:
        atoms.info[MULTIPLICITY] = int(molecule.spin) + 1
    return atoms
