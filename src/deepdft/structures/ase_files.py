"""Structure files that ASE reads, with names of elements that it does not know."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.structures.ase_io import ase_io
from deepdft.structures.structure import Reading
from deepdft.structures.symbols import Symbol, symbol_of
from deepdft.structures.text import COMPRESSED, read_text

_OPTIONS = {"gaussian-in": {"attach_calculator": True}}
"""What ASE's readers have to be asked for: charge and multiplicity come with a calculator."""

_REFUSED = {
    "old-traj": "can run code",
    "bundletrajectory": "can run code",
    "db": "is a database",
    "postgresql": "is a database",
    "mysql": "is a database",
}
"""Formats of ASE that hold pickles, or reach beyond the file."""

_LONGEST_TEXT = 50_000_000
"""Bytes of files that are read into memory before ASE sees them."""


def read_with_ase(path: Path) -> Iterator[Reading]:
    """Yield the structures of a file.

    Where ASE stumbles over the name of an element (`D`, `O1`, `Bq`), it is given a name that ASE
    knows. Text may be Latin-1 and end its lines as any system does.

    Raises:
        FileFormatError: if ASE cannot read it, or it holds no atoms.
    """
    ase_io()
    from ase.io.formats import UnknownFileTypeError, filetype, ioformats

    try:
        kind = filetype(str(path))
    except UnknownFileTypeError:
        raise FileFormatError(f"{path} is of no format that ASE knows.") from None
    except Exception as error:  # its guesses look into the file
        raise _refused(path, error) from None
    if kind in _REFUSED:
        raise FileFormatError(
            f"{path} is of ASE's format '{kind}', which {_REFUSED[kind]}; it is not opened."
        )
    entry = ioformats.get(kind)
    source: Any = str(path)
    if entry is not None and entry.acceptsfd and not entry.isbinary and _is_short(path):
        text = read_text(path)
        if kind == "vasp":
            _require_atoms(text, path)
        source = _normalised(text, path)
    for frame, notes in _frames(path, source, kind):
        yield Reading(frame, notes=notes)


def _require_atoms(text: str, path: Path) -> None:
    """Refuse a POSCAR whose counts are larger than the file: ASE makes room for as many atoms."""
    for line in text.splitlines()[5:7]:
        count = sum(int(word[:20]) for word in takewhile(str.isdecimal, line.split()))
        if count > len(text):
            raise FileFormatError(f"{path} states {count} atoms, and is too short for them.")


def _is_short(path: Path) -> bool:
    try:
        return path.stat().st_size < _LONGEST_TEXT
    except OSError as error:
        raise FileFormatError(f"{path} cannot be read: {error.strerror}.") from None


def _normalised(text: str, path: Path) -> str | io.StringIO:
    """Return the text where ASE would not read it from the file as it is, else the path."""
    if path.suffix.casefold() in COMPRESSED:
        return io.StringIO(text)  # ASE would expand it without bounds
    try:
        if path.read_bytes() == text.encode():
            return str(path)
    except OSError:
        pass
    return io.StringIO(text)


def _frames(path: Path, source: Any, kind: str) -> Iterator[tuple[Atoms, list[str]]]:
    notes: list[str] = []
    replaced: set[str] = set()
    while True:
        if isinstance(source, io.StringIO):
            source.seek(0)
        try:
            options = _OPTIONS.get(kind, {})
            found: Any = ase_io().read(source, index=":", format=kind, **options)
            break
        except Exception as error:  # ASE's readers raise whatever their parsing runs into
            name = str(error.args[0]) if isinstance(error, KeyError) and error.args else ""
            symbol = symbol_of(name) if name else None
            if name and symbol is None and re.fullmatch(r"[A-Za-z]\w{0,9}", name):
                raise FileFormatError(
                    f"{path}: '{name}' is no element symbol, label or atomic number."
                ) from None
            if symbol is None or name.casefold() in replaced:
                raise _refused(path, error) from None
            replaced.add(name.casefold())
            source = io.StringIO(_renamed(path, source, name, symbol))
            if symbol.assumed:
                notes.append(symbol.assumed)
    frames = [found] if isinstance(found, Atoms) else list(found)
    if not frames or any(not isinstance(f, Atoms) or len(f) == 0 for f in frames):
        raise FileFormatError(f"{path} holds no atoms.")
    for frame in frames:
        yield frame, notes


def _renamed(path: Path, source: Any, name: str, symbol: Symbol) -> str:
    from ase.data import chemical_symbols

    text = source.getvalue() if isinstance(source, io.StringIO) else read_text(path)
    known = chemical_symbols[symbol.number]
    return re.sub(rf"(?<!\S){re.escape(name)}(?!\S)", known, text, flags=re.IGNORECASE)


def _refused(path: Path, error: Exception) -> DeepDFTError:
    if isinstance(error, DeepDFTError):
        return error
    reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
    if isinstance(error, np.linalg.LinAlgError):
        reason = "its cell spans no volume"
    return FileFormatError(f"ASE cannot read a structure from {path}: {reason.rstrip('.')}.")
