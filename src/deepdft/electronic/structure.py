"""What one diagonalisation makes of a density: energy, orbitals, levels, dipole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.fields.orbitals import OrbitalDensity
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR


@dataclass(frozen=True)
class ElectronicStructure:
    """Energies (eV) and orbitals of a closed-shell molecule.

    Attributes:
        atoms: the molecule.
        level: level of theory.
        energy: total energy of the valence electrons and the cores: between the next two.
        harris_energy: of Harris' functional of the density that was given.
        kohn_sham_energy: of the orbitals' density matrix; never below the ground state's energy.
        orbital_energies: (n,) of the orbitals, ascending among occupied and among empty ones; not
            the eigenvalues of `fock`, but in a potential nearer to the converged one.
        orbitals: (n, n) coefficients in the basis set of the level, columns, as PySCF orders them;
            the eigenvectors of `fock`.
        occupied: number of occupied orbitals, two electrons each.
        fock: (n, n) Fock matrix that was diagonalised.
        overlap: (n, n) of the basis functions.
        molecule: PySCF's.
    """

    atoms: Atoms
    level: LevelOfTheory
    energy: float
    harris_energy: float
    kohn_sham_energy: float
    orbital_energies: FloatArray
    orbitals: FloatArray
    occupied: int
    fock: FloatArray
    overlap: FloatArray
    molecule: Any

    @property
    def bracket(self) -> float:
        """Kohn-Sham energy minus Harris', eV: how far apart the two are that hold the energy."""
        return self.kohn_sham_energy - self.harris_energy

    @property
    def homo(self) -> float:
        """Energy of the highest occupied orbital, eV."""
        return float(self.orbital_energies[self.occupied - 1])

    @property
    def lumo(self) -> float:
        """Energy of the lowest empty orbital, eV."""
        return float(self.orbital_energies[self.occupied])

    @property
    def gap(self) -> float:
        """Difference of the two, eV."""
        return self.lumo - self.homo

    @cached_property
    def density_matrix(self) -> FloatArray:
        """(n, n) density matrix."""
        chosen = self.orbitals[:, : self.occupied]
        matrix: FloatArray = 2.0 * chosen @ chosen.T
        return matrix

    @cached_property
    def density(self) -> OrbitalDensity:
        """Density of the occupied orbitals, a field: nearer the converged one than the given."""
        return OrbitalDensity(
            self.atoms, self.level.basis, self.orbitals[:, : self.occupied], 2.0, self.level
        )

    @cached_property
    def dipole(self) -> FloatArray:
        """(3,) e Å, of the occupied orbitals; from the centre of nuclear charge for an ion."""
        charges, positions = self.molecule.atom_charges(), self.molecule.atom_coords()
        origin = charges @ positions / charges.sum()
        with self.molecule.with_common_orig(origin):
            integrals = self.molecule.intor_symmetric("int1e_r", comp=3)
        electrons = np.einsum("xij,ij->x", integrals, self.density_matrix)
        dipole: FloatArray = (charges @ (positions - origin) - electrons) * BOHR
        return dipole
