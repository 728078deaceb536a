"""Orbitals that CP2K can begin with (SCF_GUESS RESTART), from a density of a molecule.

Releases without `SCF_GUESS EXTERNAL_DENSITY`, 2023.1 among them, read no density to begin with, but
they read orbitals: those of one diagonalisation are written as a wave function file. It holds, as
Fortran's unformatted records, the numbers of atoms, spins, functions and the largest of sets and
shells; sets of each atom, shells of each set, functions of each shell; and for the one spin its
orbitals' number, energies, occupations and coefficients.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepdft.electronic.structure import ElectronicStructure
from deepdft.errors import LevelOfTheoryError
from deepdft.storage.whole_files import AtomicFile
from deepdft.units import HARTREE

_BASIS, _TWO_SETS = "gth-dzvp", "DZVP-GTH"
_P_ORDER = (1, 2, 0)
"""x, y, z in the order m = -1, 0, 1, which is y, z, x."""


def cp2k_start(structure: ElectronicStructure, path: str | Path) -> None:
    """Write the occupied orbitals as a wave function file of CP2K.

    The calculation reads it with `SCF_GUESS RESTART` and `WFN_RESTART_FILE_NAME`. It must have the
    same atoms in the same order, and for every element BASIS_SET DZVP-GTH of CP2K's file
    GTH_BASIS_SETS and POTENTIAL GTH-PBE of GTH_POTENTIALS; cell and cutoff are free.

    Args:
        structure: what `from_density` has returned.
        path: file to write, `NAME-RESTART.wfn`.

    Raises:
        LevelOfTheoryError: if the orbitals are in another basis set, or one of their elements has
            another one there (K, Ca, Zn, Br and I).
    """
    atoms = structure.atoms
    if structure.level.basis.casefold() != _BASIS:
        raise LevelOfTheoryError(
            f"A start of CP2K needs orbitals in {_BASIS}, and these are in {structure.level.basis}."
        )
    others = sorted({s for s in atoms.get_chemical_symbols() if s in ("K", "Ca", "Zn", "Br", "I")})
    if others:
        raise LevelOfTheoryError(
            f"CP2K's {_TWO_SETS} has no functions for {', '.join(others)}, so the orbitals of "
            f"{atoms.symbols} are none to begin with."
        )
    shells = [_shells(structure, atom) for atom in range(len(atoms))]
    sets, largest = 2, max(len(own) for own in shells)
    # The functions of largest angular momentum are a set of their own.
    per_set = np.array([[len(own) - 1, 1] for own in shells], np.int32)
    functions = np.zeros((len(atoms), sets, largest), np.int32)
    for atom, own in enumerate(shells):
        functions[atom, 0, : len(own) - 1] = [2 * momentum + 1 for momentum in own[:-1]]
        functions[atom, 1, 0] = 2 * own[-1] + 1
    largest = int(per_set.max())
    count, occupied = len(structure.orbitals), structure.occupied
    coefficients = structure.orbitals[_order(shells), :occupied]
    file = io.BytesIO()
    _record(file, np.array([len(atoms), 1, count, sets, largest], np.int32))
    _record(file, np.full(len(atoms), sets, np.int32))
    _record(file, per_set)
    _record(file, functions[:, :, :largest])
    _record(file, np.array([occupied, occupied, occupied, 2 * occupied], np.int32))
    energies = structure.orbital_energies[:occupied] / HARTREE
    _record(file, np.concatenate([energies, np.full(occupied, 2.0)]))
    for orbital in coefficients.T:
        _record(file, orbital)
    with AtomicFile(path) as target:
        target.write(file.getvalue())


def _shells(structure: ElectronicStructure, atom: int) -> list[int]:
    """Return the angular momentum of each radial function of an atom."""
    molecule = structure.molecule
    return [
        int(molecule.bas_angular(shell))
        for shell in molecule.atom_shell_ids(atom)
        for _ in range(molecule.bas_nctr(shell))
    ]


def _order(shells: list[list[int]]) -> NDArray[np.int64]:
    """Return PySCF's place of each of CP2K's functions."""
    places: list[int] = []
    for momentum in (momentum for own in shells for momentum in own):
        start, order = len(places), range(2 * momentum + 1)
        places += [start + m for m in (_P_ORDER if momentum == 1 else order)]
    return np.array(places)


def _record(file: io.BytesIO, values: NDArray[np.float64] | NDArray[np.int32]) -> None:
    """Append a record as Fortran does: its length before and after it."""
    data = np.ascontiguousarray(values).tobytes()
    length = np.int32(len(data)).tobytes()
    file.write(length + data + length)
