"""Orbitals that CP2K can begin with (SCF_GUESS RESTART), from a density.

Releases without `SCF_GUESS EXTERNAL_DENSITY`, 2023.1 among them, read no density to begin with, but
they read orbitals: those of one diagonalisation are written as a wave function file. It holds, as
Fortran's unformatted records, the numbers of atoms, spins, functions and the largest of sets and
shells; sets of each atom, shells of each set, functions of each shell; and for the one spin its
orbitals' number, energies, occupations and coefficients.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepdft.electronic.gamma_point import BASIS as GAMMA_BASIS
from deepdft.electronic.gamma_point import GammaOrbitals
from deepdft.electronic.structure import ElectronicStructure
from deepdft.errors import LevelOfTheoryError
from deepdft.fields.orbitals import Shell, load_basis
from deepdft.storage.whole_files import AtomicFile
from deepdft.units import HARTREE

_BASIS, _TWO_SETS = "gth-dzvp", "DZVP-GTH"

_P_ORDER = (1, 2, 0)
"""x, y, z in the order m = -1, 0, 1, which is y, z, x."""


def cp2k_start(structure: ElectronicStructure | GammaOrbitals, path: str | Path) -> None:
    """Write the occupied orbitals as a wave function file of CP2K.

    The calculation reads it with `SCF_GUESS RESTART` and `WFN_RESTART_FILE_NAME`. It must have the
    same atoms in the same order, and POTENTIAL GTH-PBE of GTH_POTENTIALS; the cutoff is free. Of a
    molecule the cell is free as well, and the basis set is for every element DZVP-GTH of CP2K's
    file GTH_BASIS_SETS; of a periodic structure it is DZVP-MOLOPT-SR-GTH of BASIS_MOLOPT, and the
    cell is the structure's.

    Args:
        structure: what `from_density` or `orbitals_at_gamma` has returned.
        path: file to write, `NAME-RESTART.wfn`.

    Raises:
        LevelOfTheoryError: if the orbitals are in another basis set, or one of their elements has
            another one there (K, Ca, Zn, Br and I in DZVP-GTH).
    """
    atoms, basis = structure.atoms, structure.level.basis.casefold()
    if basis not in (_BASIS, GAMMA_BASIS):
        raise LevelOfTheoryError(
            f"A start of CP2K needs orbitals in {_BASIS} or {GAMMA_BASIS}, and these are in "
            f"{structure.level.basis}."
        )
    others = sorted({s for s in atoms.get_chemical_symbols() if s in ("K", "Ca", "Zn", "Br", "I")})
    if others and basis == _BASIS:
        raise LevelOfTheoryError(
            f"CP2K's {_TWO_SETS} has no functions for {', '.join(others)}, so the orbitals of "
            f"{atoms.symbols} are none to begin with."
        )
    shells = [_momenta(of_atom) for of_atom in load_basis(basis).shells(atoms.numbers)]
    # In DZVP-GTH the functions of largest angular momentum are a set of their own.
    parts = [[own[:-1], own[-1:]] if basis == _BASIS else [own] for own in shells]
    sets, largest = len(parts[0]), max(len(own) for own in shells)
    per_set = np.array([[len(part) for part in of_atom] for of_atom in parts], np.int32)
    functions = np.zeros((len(atoms), sets, largest), np.int32)
    for atom, of_atom in enumerate(parts):
        for number, part in enumerate(of_atom):
            functions[atom, number, : len(part)] = [2 * momentum + 1 for momentum in part]
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


def _momenta(shells: Sequence[Shell]) -> list[int]:
    """Return the angular momentum of each radial function of an atom."""
    return [shell.angular_momentum for shell in shells for _ in shell.coefficients]


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
