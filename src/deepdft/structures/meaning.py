"""From what a file holds to the structure that was meant, or a sentence why not."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from deepdft.errors import UnsupportedStructureError
from deepdft.structures.cells import settle_cell
from deepdft.structures.charge import (
    charge_statements,
    multiplicity_statements,
    resolved_charge,
    resolved_multiplicity,
    store,
)
from deepdft.structures.contacts import require_sensible_positions
from deepdft.structures.foreign import as_atoms
from deepdft.structures.occupancy import forget_occupancies, from_ase, occupied
from deepdft.structures.relaxation import relaxed
from deepdft.structures.structure import MULTIPLICITY, Reading, ReadOptions, Structure
from deepdft.structures.symbols import GHOST


def understood(reading: Reading, name: str, options: ReadOptions | None = None) -> Structure:
    """Return the structure that was meant.

    Args:
        reading: what a file holds.
        name: of the structure.
        options: what is said besides.

    Raises:
        UnsupportedStructureError: if sites are occupied in part, atoms are where they cannot be, a
            cell spans nothing, or charge or spin are nonsense or contradictory.
        MissingDependencyError, CalculationError: if it is to be relaxed and cannot be.
    """
    options = options or ReadOptions()
    atoms = reading.atoms.copy()
    atoms.calc = reading.atoms.calc
    notes = list(reading.notes)
    occupancies = reading.occupancies
    if occupancies is None:
        atoms, occupancies = from_ase(atoms)
    real = _nuclei(atoms)
    ghosts = int((~real).sum())
    if ghosts:
        notes.append(f"{ghosts} ghost or dummy centre{'s' * (ghosts > 1)} left out")
        occupancies = None if occupancies is None else occupancies.of(real)
        atoms = _kept(atoms, real)
    if len(atoms) == 0:
        raise UnsupportedStructureError(f"{name} has no atoms{' but ghosts' * bool(ghosts)}.")
    notes += settle_cell(atoms)
    if occupancies is not None:
        calculator = atoms.calc
        atoms, added = occupied(atoms, occupancies, options.ordered)
        atoms.calc = calculator
        notes += added
        if len(atoms) == 0:
            raise UnsupportedStructureError(f"{name} has no occupied site.")
    forget_occupancies(atoms)
    require_sensible_positions(atoms)
    notes += _settle_charge(atoms, reading, options)
    atoms.calc = None
    if options.relax:
        atoms = _relaxed(atoms)
        notes.append("the geometry was relaxed by GFN2-xTB")
    elif reading.force_field:
        notes.append(
            "the geometry is a force field's (MMFF94); 'deepdft predict --relax' improves it by "
            "GFN2-xTB"
        )
    return Structure(name, atoms, tuple(dict.fromkeys(notes)))


def understood_atoms(
    atoms: Any,
    *,
    charge: int | None = None,
    multiplicity: int | None = None,
    ordered: bool = False,
) -> Structure:
    """Return the structure that is meant by ASE atoms, whoever made them.

    Args:
        atoms: the structure, of ASE, pymatgen, RDKit or PySCF (see `foreign.as_atoms`); not
            changed.
        charge: net charge, e; None leaves it to what the atoms say.
        multiplicity: 2S + 1; None leaves it to what the atoms say.
        ordered: pick an ordered structure where sites are occupied in part.

    Raises:
        UnsupportedStructureError: see `understood`.
    """
    options = ReadOptions(charge, multiplicity, ordered)
    atoms = as_atoms(atoms)
    _nuclei(atoms)  # a formula needs elements
    return understood(Reading(atoms), atoms.get_chemical_formula(), options)


def _nuclei(atoms: Atoms) -> np.ndarray:
    beyond = np.flatnonzero(atoms.numbers >= len(chemical_symbols))
    if len(beyond):
        number = int(atoms.numbers[beyond[0]])
        raise UnsupportedStructureError(
            f"Atom {int(beyond[0])} has the atomic number {number}, which no element has (programs "
            "number synthetic atoms, as of virtual crystals, so)."
        )
    return np.asarray(atoms.numbers > GHOST)


def _kept(atoms: Atoms, which: np.ndarray) -> Atoms:
    result = atoms[which]
    result.calc = atoms.calc
    return result


def _settle_charge(atoms: Atoms, reading: Reading, options: ReadOptions) -> list[str]:
    charges = [*reading.charges, *charge_statements(atoms)]
    charge, charge_note = resolved_charge(charges, options.charge)
    electrons = int(atoms.numbers.sum()) - (charge or 0)
    spins = [*reading.multiplicities, *multiplicity_statements(atoms, electrons)]
    multiplicity, spin_note = resolved_multiplicity(spins, options.multiplicity)
    if options.charge is not None and atoms.has("initial_charges"):
        del atoms.arrays["initial_charges"]
    store(atoms, charge, multiplicity)
    stated = bool(charge) and not charge_note and options.charge is None
    if stated:
        where = next(s.where for s in charges if s.firm)
        charge_note = f"net charge {charge:+d}, from {where}"
    return [note for note in (charge_note, spin_note) if note]


def _relaxed(atoms: Atoms) -> Atoms:
    charge = atoms.info.get("charge", 0)
    lowest = 1 + (int(atoms.numbers.sum()) - charge) % 2
    return relaxed(atoms, charge, atoms.info.get(MULTIPLICITY, lowest))
