"""Structures from files or SMILES strings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from deepdft.errors import FileFormatError
from deepdft.extras import require_extra


@dataclass(frozen=True)
class Structure:
    """A structure with a name to call its output by.

    Attributes:
        name: file stem, with the frame's number for trajectories, or the SMILES string.
        atoms: the structure.
    """

    name: str
    atoms: Atoms


def read_structures(source: str) -> Iterator[Structure]:
    """Yield the structures of a file that ASE reads (all frames), or of a SMILES string.

    Args:
        source: path, or a SMILES string where no such file exists.

    Raises:
        FileFormatError: if it is neither.
        MissingDependencyError: if SMILES are given and RDKit is not installed.
    """
    path = Path(source)
    if path.exists():
        frames = _read_file(path)
        stem = path.name.split(".")[0] or path.name
        digits = len(str(len(frames) - 1))
        for number, atoms in enumerate(frames):
            name = stem if len(frames) == 1 else f"{stem}_{number:0{digits}d}"
            yield Structure(name, atoms)
    elif _looks_like_path(source):
        raise FileFormatError(f"The structure file {source} does not exist.")
    else:
        yield Structure(source, atoms_from_smiles(source))


def _looks_like_path(source: str) -> bool:
    # SMILES may hold '/', '\\' and '.', but not a suffix of letters after a stem without brackets.
    suffix = Path(source).suffix[1:].casefold()
    return suffix in _SUFFIXES or source.startswith(("./", "../", "~")) or source.endswith("/")


_SUFFIXES = frozenset(
    "xyz extxyz cif poscar contcar vasp pdb mol sdf traj json cube gen xsf in out log gro"  # noqa: SIM905
    " res".split()
)


def _read_file(path: Path) -> list[Atoms]:
    import ase.io

    if path.is_dir():
        raise FileFormatError(f"{path} is a folder; give the structure files in it.")
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their parsing runs into.
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(f"ASE cannot read a structure from {path}: {reason}") from None
    frames = [frames] if isinstance(frames, Atoms) else list(frames)
    if not frames or any(len(atoms) == 0 for atoms in frames):
        raise FileFormatError(f"{path} holds no atoms.")
    return frames


def atoms_from_smiles(smiles: str) -> Atoms:
    """Return the lowest of ten MMFF94 conformers (ETKDG version 3) of a SMILES string.

    Raises:
        MissingDependencyError: if RDKit is not installed.
        FileFormatError: if the string is not valid or cannot be embedded.
    """
    require_extra("rdkit", f"'{smiles}' is not a file, and reading it as SMILES")
    from rdkit import Chem, RDLogger
    from rdkit.Chem import rdDistGeom, rdForceFieldHelpers

    RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None or molecule.GetNumAtoms() == 0:
        raise FileFormatError(f"'{smiles}' is neither a file nor a valid SMILES string.")
    molecule = Chem.AddHs(molecule)
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = 1  # type: ignore[assignment]
    conformers = list(rdDistGeom.EmbedMultipleConfs(molecule, 10, parameters))
    if not conformers:
        raise FileFormatError(f"No geometry could be built for the SMILES string '{smiles}'.")
    best = 0
    if rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        energies = rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, maxIters=2000)
        best = min(range(len(energies)), key=lambda i: float(energies[i][1]))
    numbers = [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
    positions = molecule.GetConformer(int(conformers[best])).GetPositions()
    atoms = Atoms(numbers, positions)
    charge = Chem.GetFormalCharge(molecule)
    if charge:
        atoms.info["charge"] = charge
    return atoms
