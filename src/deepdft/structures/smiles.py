"""Geometries of SMILES strings, and of drawings: ETKDG and MMFF94 of RDKit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import vdw_radii

from deepdft.errors import FileFormatError
from deepdft.extras import require_extra
from deepdft.structures.structure import Reading, Statement, listed

_CONFORMERS = 10

MOST_ATOMS = 200
"""Atoms besides hydrogen that a geometry is built for; the time grows with their square."""

_LONGEST_SMILES = 10_000
"""Characters."""

_ITERATIONS = 2000

_SECONDS = 30
"""For one conformer; RDKit gives it up after these."""

_check: ContextVar[Callable[[], None] | None] = ContextVar("check", default=None)

_RADIUS = 2.0
"""Å. Van der Waals radius of an element that has none in ASE's table."""


@contextmanager
def interrupted_by(check: Callable[[], None]) -> Iterator[None]:
    """While geometries are built here, call `check` before each conformer; it may raise."""
    token = _check.set(check)
    try:
        yield
    finally:
        _check.reset(token)


def reading_from_smiles(smiles: str) -> Reading:
    """Return a geometry for a SMILES string.

    Of each molecule it is the lowest of ten MMFF94 conformers (ETKDG version 3). Several molecules
    are laid side by side, at the distance where their van der Waals spheres touch.

    Raises:
        MissingDependencyError: if RDKit is not installed.
        FileFormatError: if the string is not valid, holds a place for any atom, or cannot be
            embedded.
    """
    shown = smiles if len(smiles) <= 80 else f"{smiles[:80]}..."
    chemistry = _rdkit(f"'{shown}' is not a file, and reading it as SMILES")
    if len(smiles) > _LONGEST_SMILES or "\0" in smiles:
        raise FileFormatError(f"'{shown}' is neither a file nor a SMILES string that can be read.")
    molecule = chemistry.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise FileFormatError(f"'{shown}' is neither a file nor a valid SMILES string.")
    return _reading(chemistry, molecule, f"the SMILES string '{shown}'")


def reading_from_drawing(block: str, place: str) -> Reading:
    """Return a geometry for a MOL block without coordinates in space, as of SMILES.

    Args:
        block: the MOL block.
        place: what it is, for messages.

    Raises:
        MissingDependencyError, FileFormatError: as `reading_from_smiles`.
    """
    chemistry = _rdkit(f"{place} is a drawing in a plane, and giving it a geometry")
    molecule = chemistry.MolFromMolBlock(block)
    if molecule is None:
        raise FileFormatError(f"RDKit cannot read {place}.")
    reading = _reading(chemistry, molecule, place)
    reading.notes.insert(0, "the file holds a drawing in a plane, not a geometry")
    return reading


def atoms_from_smiles(smiles: str) -> Atoms:
    """Return the structure of a SMILES string, see `reading_from_smiles`.

    Its charge and, where it has unpaired electrons, its multiplicity are in `atoms.info`.

    Raises:
        MissingDependencyError: if RDKit is not installed.
        FileFormatError: if the string is not valid or cannot be embedded.
    """
    from deepdft.structures.meaning import understood

    return understood(reading_from_smiles(smiles), smiles).atoms


def _rdkit(purpose: str) -> ModuleType:
    require_extra("rdkit", purpose)
    from rdkit import Chem, RDLogger

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    module: ModuleType = Chem
    return module


def _reading(chemistry: ModuleType, molecule: Any, what: str) -> Reading:
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise FileFormatError(f"In {what}, '*' holds a place for any atom; fill in what is meant.")
    count = molecule.GetNumAtoms()
    if count > MOST_ATOMS:
        raise FileFormatError(
            f"{what[0].upper()}{what[1:]} has {count} atoms besides hydrogen; a geometry is built "
            f"for up to {MOST_ATOMS}. Give a file with positions."
        )
    parts = chemistry.GetMolFrags(molecule, asMols=True)
    built = [_embedded(chemistry, part, what) for part in parts]
    atoms = side_by_side([atoms for atoms, _ in built])
    notes = []
    if len(parts) > 1:
        notes.append(
            f"{len(parts)} molecules were laid side by side at van der Waals distance; SMILES say "
            "nothing of where they are"
        )
    without = [atoms.get_chemical_formula() for atoms, known in built if not known]
    if without:
        notes.append(
            f"MMFF94 does not know {listed(without)}: the geometry is ETKDG's alone; --relax "
            "improves it by GFN2-xTB"
        )
    field = any(known and len(part) > 1 for part, known in built)
    charge = chemistry.GetFormalCharge(molecule)
    charges = [Statement(charge, "SMILES")] if charge else []
    centres = [a.GetNumRadicalElectrons() for a in molecule.GetAtoms()]
    unpaired = sum(centres)
    spins = []
    if unpaired:
        where = f"{unpaired} unpaired electron{'s' * (unpaired > 1)}, taken as parallel"
        spins.append(Statement(unpaired + 1, where, firm=False))
    return Reading(atoms, None, charges, spins, notes, force_field=field)


def _embedded(chemistry: ModuleType, molecule: Any, what: str) -> tuple[Atoms, bool]:
    """Return a molecule's lowest conformer, and whether its force field is known."""
    from rdkit.Chem import rdForceFieldHelpers

    molecule = chemistry.AddHs(molecule)
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    if len(numbers) == 1:
        return Atoms(numbers, [(0.0, 0.0, 0.0)]), True
    conformers = _conformers(molecule)
    if not conformers:
        raise FileFormatError(f"No geometry could be built for {what}.")
    best, known = conformers[0], rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    if known:
        energies = {}
        for conformer in conformers:
            _look()
            energies[conformer] = _relaxed(molecule, conformer)
        best = min(conformers, key=energies.__getitem__)
    return Atoms(numbers, molecule.GetConformer(best).GetPositions()), known


def _conformers(molecule: Any) -> list[int]:
    """Embed a molecule, conformer by conformer so that it can be interrupted; return their ids."""
    from rdkit.Chem import rdDistGeom

    parameters: Any = rdDistGeom.ETKDGv3()
    parameters.clearConfs = False
    if hasattr(parameters, "timeout"):  # RDKit 2024.9
        parameters.timeout = _SECONDS
    found = []
    for number in range(_CONFORMERS):
        _look()
        # Those that RDKit takes when it is asked for several beginning with 1.
        parameters.randomSeed = number + 1
        conformer = rdDistGeom.EmbedMolecule(molecule, parameters)
        if conformer >= 0:
            found.append(conformer)
    return found


def _relaxed(molecule: Any, conformer: int) -> float:
    """Relax a conformer with MMFF94 and return its energy, kcal/mol."""
    from rdkit.Chem import rdForceFieldHelpers

    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties, confId=conformer)
    field.Initialize()
    field.Minimize(maxIts=_ITERATIONS)
    return float(field.CalcEnergy())


def _look() -> None:
    check = _check.get()
    if check is not None:
        check()


def side_by_side(molecules: list[Atoms]) -> Atoms:
    """Return molecules in a row along x, each where its van der Waals spheres first touch others'.

    Args:
        molecules: at least one; a single one is returned as it is.
    """
    row: Atoms = molecules[0].copy()
    for molecule in molecules[1:]:
        if len(row) == len(molecules[0]):
            row.positions -= row.positions.mean(axis=0)
        positions = molecule.positions - molecule.positions.mean(axis=0)
        reach = _radii(row)[:, None] + _radii(molecule)[None]
        steps = row.positions[:, None] - positions[None]
        across = reach**2 - steps[:, :, 1] ** 2 - steps[:, :, 2] ** 2
        # Where the spheres pass each other, any place along x would do.
        needed = np.where(across > 0, steps[:, :, 0] + np.sqrt(np.maximum(across, 0)), -np.inf)
        shift = needed.max()
        positions[:, 0] += shift if np.isfinite(shift) else steps[:, :, 0].max()
        row += Atoms(molecule.numbers, positions)
    return row


def _radii(atoms: Atoms) -> np.ndarray:
    radii = vdw_radii[np.minimum(atoms.numbers, len(vdw_radii) - 1)]
    return np.where(np.isfinite(radii), radii, _RADIUS)
