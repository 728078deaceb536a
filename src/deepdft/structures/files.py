"""The door for structures: files of any kind, or SMILES strings."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path

from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.structures.ase_files import read_with_ase
from deepdft.structures.meaning import understood
from deepdft.structures.smiles import reading_from_smiles
from deepdft.structures.structure import Reading, ReadOptions, Structure
from deepdft.structures.text import COMPRESSED, read_text

Refused = Callable[[str, DeepDFTError], None]
"""Is told the name of a structure that cannot be used, and why."""

_READERS = {
    "xyz": ("xyz", "read_xyz"),
    "extxyz": ("xyz", "read_xyz"),
    "pdb": ("pdb", "read_pdb"),
    "ent": ("pdb", "read_pdb"),
    "cif": ("cif", "read_cif"),
    "mmcif": ("cif", "read_cif"),
    "mcif": ("cif", "read_cif"),
    "sdf": ("molfile", "read_molecules"),
    "sd": ("molfile", "read_molecules"),
    "mol": ("molfile", "read_molecules"),
    "res": ("shelx", "read_shelx"),
    "ins": ("shelx", "read_shelx"),
}
"""Modules and functions for suffixes; each is imported when a file needs it."""

_SUFFIXES = frozenset(_READERS) | frozenset(
    "poscar contcar vasp mol2 traj json cube gen xsf in out log gro com gjf xv".split()  # noqa: SIM905
)


def read_structures(
    source: str | Path, options: ReadOptions | None = None, refused: Refused | None = None
) -> Iterator[Structure]:
    """Yield the structures of a file (all frames) or of a SMILES string, as they were meant.

    Args:
        source: path, or a SMILES string where no such file exists.
        options: charge, spin and what else is said about the structures.
        refused: is told of a structure that cannot be used, and the next one follows; without it
            the error is raised.

    Raises:
        FileFormatError: if it is neither, or the file cannot be read.
        UnsupportedStructureError: if a structure cannot be what was meant, see `understood`.
        MissingDependencyError: if SMILES are given and RDKit is not installed.
    """
    path = Path(source)
    readings: list[Reading | DeepDFTError] = []
    stem = place = str(source)
    try:
        if is_path(str(source)):
            stem = path.name.split(".")[0] or path.name
            readings += _readings(path)
        else:
            place = ""
            readings.append(reading_from_smiles(str(source)))
    except DeepDFTError as error:
        if refused is None:
            raise
        refused(stem, error)
        return
    digits = len(str(len(readings) - 1))
    for number, reading in enumerate(readings):
        name, where = stem, place
        if len(readings) > 1:
            name, where = f"{stem}_{number:0{digits}d}", f"{place}, structure {number}"
        yield from _understood(reading, name, where, options, refused)


def is_path(source: str) -> bool:
    """Return whether a text is a path rather than a SMILES string.

    Raises:
        FileFormatError: if it is one and nothing is there.
    """
    try:
        if Path(source).exists():
            return True
    except (OSError, ValueError):
        # Too long for a path, or with a NUL.
        return False
    # SMILES may hold '/', '\\' and '.', but not a suffix of letters after a stem without brackets.
    path = Path(source)
    last = path.with_suffix("") if path.suffix.casefold() in COMPRESSED else path
    if (
        last.suffix[1:].casefold() in _SUFFIXES
        or source.startswith(("./", "../", "~"))
        or source.endswith("/")
    ):
        raise FileFormatError(f"The structure file {source} does not exist.")
    return False


def _understood(
    reading: Reading | DeepDFTError,
    name: str,
    place: str,
    options: ReadOptions | None,
    refused: Refused | None,
) -> Iterator[Structure]:
    try:
        if isinstance(reading, DeepDFTError):
            raise reading
        structure = understood(reading, name, options)
    except DeepDFTError as error:
        # The sentence names the file, unless the reader did.
        told = error
        if place and place.partition(",")[0] not in str(error):
            told = type(error)(f"{place}: {error}")
        if refused is None:
            raise told from None
        refused(name, told)
        return
    yield structure


def _readings(path: Path) -> Iterator[Reading | DeepDFTError]:
    if path.is_dir():
        raise FileFormatError(f"{path} is a folder; give the structure files in it.")
    if not path.is_file():
        raise FileFormatError(f"{path} is no regular file; a structure is read from a file.")
    plain = path.with_suffix("") if path.suffix.casefold() in COMPRESSED else path
    known = _READERS.get(plain.suffix[1:].casefold())
    if known is None:
        yield from read_with_ase(path)
        return
    module, function = known
    reader = getattr(importlib.import_module(f"deepdft.structures.{module}"), function)
    yield from reader(read_text(path), str(path))
