"""Orbitals of a periodic structure at the Gamma point, by one diagonalisation from its density.

The local potential (Coulomb, exchange and correlation, local pseudopotentials) is made on a grid of
the cell and integrated there; PySCF's integrals add kinetic energy and projectors. They serve a
calculation of CP2K as a start.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.density import Grid
from deepdft.dft.functionals import libxc_code
from deepdft.electronic.one_step import LARGEST_LOSS
from deepdft.electronic.plane_waves import PlaneWaves
from deepdft.electronic.theory import semilocal_kind
from deepdft.errors import CalculationError, LevelOfTheoryError, UnsupportedStructureError
from deepdft.extras import require_extra
from deepdft.fields.field import Field
from deepdft.fields.orbitals import OrbitalDensity, load_basis
from deepdft.fields.orbitals.functions import BasisFunctions
from deepdft.fields.walk import values_on
from deepdft.geometry.blocks import block_points, grid_blocks
from deepdft.levels import LevelOfTheory
from deepdft.prediction.engine import ProbeEngine
from deepdft.structures import charge_and_multiplicity
from deepdft.units import BOHR, HARTREE

CORE, BASIS = "gth-pbe", "dzvp-molopt-sr-gth"
"""Pseudopotentials and basis set (of CP2K's BASIS_MOLOPT) at which densities are understood."""

_PYSCF_BASIS = "gth-dzvp-molopt-sr"

SPACING = 0.12
"""Å, of the grid. From a liquid's converged density come orbitals whose density is wrong by 0.10 %;
with 0.1 Å by 0.015 %, in twice the time."""

_BLOCK = 8
"""Points of the grid along each edge of what is integrated at once."""


@dataclass(frozen=True)
class GammaOrbitals:
    """Orbitals (energies in eV) of closed shells at the Gamma point.

    Attributes:
        atoms: the structure, periodic in three directions.
        level: level of theory.
        orbital_energies: (n,) ascending, about a zero of their own.
        orbitals: (n, n) coefficients in the basis set of the level, columns.
        occupied: number of occupied orbitals, two electrons each.
    """

    atoms: Atoms
    level: LevelOfTheory
    orbital_energies: FloatArray
    orbitals: FloatArray
    occupied: int

    @property
    def gap(self) -> float:
        """Energy of the lowest empty orbital above the highest occupied one, eV."""
        return float(
            self.orbital_energies[self.occupied] - self.orbital_energies[self.occupied - 1]
        )

    @cached_property
    def density(self) -> OrbitalDensity:
        """Density of the occupied orbitals, a field: nearer the converged one than the given."""
        return OrbitalDensity(
            self.atoms, self.level.basis, self.orbitals[:, : self.occupied], 2.0, self.level
        )


def orbitals_at_gamma(field: Field, *, spacing: float = SPACING) -> GammaOrbitals:
    """Return the orbitals of a periodic structure in the potential of its density.

    Args:
        field: the density, for example `model.engine(atoms)`; at a semilocal functional with
            GTH-PBE in DZVP-MOLOPT-SR-GTH, the level of the bundled model `ethylene-carbonate`.
        spacing: of the grid, Å.

    Raises:
        LevelOfTheoryError: if the density is at another level of theory.
        UnsupportedStructureError: if the structure is not periodic in three directions, has a
            charge, an odd number of electrons, or an element that the basis set lacks.
        CalculationError: if the field's number of electrons is not the structure's.
        MissingDependencyError: if PySCF is not installed.
    """
    require_extra("pyscf", "Orbitals from a density")
    atoms, level = field.atoms, field.level
    _require_level(level)
    cell = _cell_of(atoms)
    grid = Grid.of_cell(atoms, spacing)
    potential = _potential(cell, field, grid)
    fock = _matrix(potential, grid, atoms) + _other_parts(cell)
    overlap = np.asarray(cell.pbc_intor("int1e_ovlp", hermi=1)).real
    energies, orbitals = scipy.linalg.eigh(fock, overlap)
    return GammaOrbitals(
        atoms.copy(), level, energies * HARTREE, orbitals, int(cell.nelectron) // 2
    )


def _require_level(level: LevelOfTheory) -> None:
    others = [
        f"{name} {found or 'not known'} (instead of {wanted})"
        for name, found, wanted in (("core", level.core, CORE), ("basis", level.basis, BASIS))
        if found.casefold() != wanted
    ]
    if others:
        raise LevelOfTheoryError(
            f"Orbitals at the Gamma point are made in CP2K's basis set, and this density has "
            f"{' and '.join(others)}."
        )


def _cell_of(atoms: Atoms) -> Any:
    """Return PySCF's cell of a structure."""
    from pyscf.pbc import gto

    if not atoms.pbc.all():
        raise UnsupportedStructureError(
            "Orbitals at the Gamma point are those of structures that are periodic in three "
            "directions; for molecules there is from_density."
        )
    charge, multiplicity = charge_and_multiplicity(atoms)
    if charge or multiplicity not in (None, 1):
        raise UnsupportedStructureError(
            "Orbitals at the Gamma point are made of neutral cells without unpaired electrons."
        )
    load_basis(BASIS).shells(atoms.numbers)  # names an element that it lacks
    cell = gto.Cell(
        a=atoms.cell.array, unit="Angstrom", basis=_PYSCF_BASIS, pseudo=CORE, verbose=0,
        atom=list(zip(atoms.get_chemical_symbols(), atoms.positions, strict=True)), spin=None,
    )  # fmt: skip
    cell.build()
    if cell.nelectron % 2:
        raise UnsupportedStructureError(
            f"{atoms.get_chemical_formula()} has {cell.nelectron} valence electrons, an odd number."
        )
    return cell


def _potential(cell: Any, field: Field, grid: Grid) -> FloatArray:
    """Return the local potential of a field on a grid, (nx, ny, nz) Ha."""
    from pyscf.dft.numint import NumInt

    # The electrons are counted here, and need not be on points of their own.
    given = field.uncounted() if isinstance(field, ProbeEngine) else field
    density = np.asarray(values_on(given, grid), dtype=np.float64) * BOHR**3
    held = float(density.sum()) * grid.voxel_volume / BOHR**3
    if abs(held - cell.nelectron) > LARGEST_LOSS * cell.nelectron:
        raise CalculationError(
            f"The density holds {held:.2f} electrons and the cell has {cell.nelectron}."
        )
    density *= cell.nelectron / held
    waves, functional = PlaneWaves(grid), field.level.functional
    _, correlated = waves.functional(
        density, NumInt().eval_xc_eff, libxc_code(functional), semilocal_kind(functional)
    )
    symbols = field.atoms.get_chemical_symbols()
    ions = waves.of_pseudopotentials(cell._pseudo, symbols, field.atoms.positions)
    return waves.coulomb(density) + correlated + ions


def _matrix(potential: FloatArray, grid: Grid, atoms: Atoms) -> FloatArray:
    """Return the matrix (n, n) of a potential on the grid of a cell."""
    shells = load_basis(BASIS).shells(atoms.numbers)
    functions = BasisFunctions(shells, atoms.positions, atoms.cell.array)
    count = sum(shell.n_functions for of_atom in shells for shell in of_atom)
    total = np.zeros((count, count))
    blocks = grid_blocks(grid, (0, 0, 0), grid.shape, (_BLOCK, _BLOCK, _BLOCK))
    for first, last in zip(blocks.first, blocks.last, strict=True):
        here = potential[tuple(slice(a, b) for a, b in zip(first, last, strict=True))].ravel()
        values, rows = functions.at(block_points(grid, first, last))
        total[np.ix_(rows, rows)] += (values[0] * here) @ values[0].T
    return total * grid.voxel_volume


def _other_parts(cell: Any) -> FloatArray:
    """Return kinetic energy and the projectors of the pseudopotentials, (n, n) Ha."""
    from pyscf.pbc.gto.pseudo.pp_int import get_pp_nl

    kinetic = np.asarray(cell.pbc_intor("int1e_kin", hermi=1)).real
    projectors: FloatArray = np.asarray(get_pp_nl(cell)).real.reshape(kinetic.shape)
    return kinetic + projectors
