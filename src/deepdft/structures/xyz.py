"""XYZ files, plain and extended: labels, isotopes, ghosts; charge and spin in the comment."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from ase import Atoms

from deepdft.errors import FileFormatError
from deepdft.structures.ase_io import ase_io
from deepdft.structures.structure import Reading, Statement
from deepdft.structures.symbols import require_symbol
from deepdft.structures.text import integer, number
from deepdft.structures.xyz_comment import comment_values

_LARGEST_CHARGE = 20
_LARGEST_MULTIPLICITY = 20
"""Two whole numbers beyond these in a comment are no charge and multiplicity."""

_TWO_NUMBERS = re.compile(r"\s*([+-]?\d{1,3})[\s,]+(\d{1,3})\s*")
_CHARGE_WORD = re.compile(
    r"(?<![\w-])(?:(?:total|net)[ _])?charge\s*[:=\s]\s*([+-]?\d+(?:\.\d*)?(?![\w.+-])|\d+[+-])",
    re.IGNORECASE,
)
_MULTIPLICITY_WORD = re.compile(
    r"(?<![\w-])(?:spin[ _]?)?mult(?:iplicity)?\s*[:=\s]\s*(\d+)\b", re.IGNORECASE
)


def read_xyz(text: str, path: str) -> Iterator[Reading]:
    """Yield the frames of an XYZ file.

    Args:
        text: of the file.
        path: for messages.

    Raises:
        FileFormatError: if a line is not what it should be.
    """
    lines = text.split("\n")
    start = 0
    while start < len(lines) and not lines[start].strip():
        start += 1
    if start == len(lines):
        raise FileFormatError(f"{path} is empty.")
    while start < len(lines):
        place = f"line {start + 1} of {path}"
        count = integer(lines[start].strip(), f"{place} should hold the number of atoms")
        if count < 1:
            raise FileFormatError(f"{place}: a frame of {count} atoms.")
        end = start + 2 + count
        # A last line may lack its end; blank ones behind it hold nothing.
        rows = lines[start + 2 : end]
        if len(rows) < count or not all(row.strip() for row in rows):
            held = next((i for i, row in enumerate(rows) if not row.strip()), len(rows))
            raise FileFormatError(f"{place} announces {count} atoms, and {held} follow.")
        yield _frame(lines[start + 1], rows, path, start + 3)
        start = end
        while start < len(lines) and not lines[start].strip():
            start += 1


def _frame(comment: str, rows: Sequence[str], path: str, first: int) -> Reading:
    column = _species_column(comment)
    notes: dict[str, None] = {}
    symbols: list[int] = []
    for i, row in enumerate(rows):
        tokens = row.split()
        if len(tokens) <= column:
            raise FileFormatError(f"line {first + i} of {path} has no element.")
        symbol = require_symbol(tokens[column], f"line {first + i} of {path}")
        symbols.append(symbol.number)
        if symbol.assumed:
            notes[symbol.assumed] = None
    if "properties=" in comment.casefold() and not _plainly_extended(comment):
        atoms = _extended(comment, rows, column, symbols, path)
    else:
        atoms = _plain(comment, rows, symbols, path, first)
    charges, multiplicities = _stated(comment, atoms)
    return Reading(atoms, None, charges, multiplicities, list(notes))


def _species_column(comment: str) -> int:
    """Return which column holds the element: the first one unless `Properties` say otherwise."""
    match = re.search(r"properties=[\"']?([^\s\"']+)", comment, re.IGNORECASE)
    if match is None:
        return 0
    column = 0
    parts = match[1].split(":")
    for name, count in zip(parts[::3], parts[2::3], strict=False):
        if name.casefold() in ("species", "z", "numbers"):
            return column
        column += int(count) if count.isdecimal() else 1
    return 0


def _plainly_extended(comment: str) -> bool:
    """Whether the properties are elements and positions, and the rest is no calculator's result."""
    from ase.calculators.calculator import all_properties

    try:
        found = comment_values(comment)
    except Exception:  # ASE will say what is wrong
        return False
    return found.get("Properties") == "species:S:1:pos:R:3" and not found.keys() & {*all_properties}


def _require_columns(comment: str, held: int, path: str) -> None:
    """Refuse `Properties` of more columns than there are: ASE makes a name for each of them."""
    match = re.search(r"properties=[\"']?([^\s\"']+)", comment, re.IGNORECASE)
    counts = [] if match is None else match[1].split(":")[2::3]
    if any(not count.isdecimal() or int(count[:20]) > held for count in counts):
        raise FileFormatError(
            f"{path}: its Properties announce more columns than the {held} that there are."
        )


def _extended(
    comment: str, rows: Sequence[str], column: int, numbers: Sequence[int], path: str
) -> Atoms:
    from ase.data import chemical_symbols

    _require_columns(comment, len(rows[0].split()), path)
    # ASE reads the rest, once the elements are written as it knows them.
    by_number = bool(re.search(r"properties=[^\s]*\bz:i:", comment, re.IGNORECASE))
    lines = []
    for row, z in zip(rows, numbers, strict=True):
        tokens = row.split()
        tokens[column] = str(z) if by_number else chemical_symbols[z]
        lines.append(" ".join(tokens))
    text = "\n".join([str(len(rows)), comment, *lines, ""])
    try:
        atoms = ase_io().read(io.StringIO(text), format="extxyz", index=0)
    except Exception as error:  # whatever ASE's parsing runs into
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(
            f"ASE cannot read a structure from {path}: {reason.rstrip('.')}."
        ) from None
    assert isinstance(atoms, Atoms)
    return atoms


def _plain(
    comment: str, rows: Sequence[str], numbers: Sequence[int], path: str, first: int
) -> Atoms:
    positions = np.empty((len(rows), 3))
    for i, row in enumerate(rows):
        tokens = row.split()[1:4]
        place = f"line {first + i} of {path}"
        if len(tokens) < 3:
            raise FileFormatError(f"{place}: an element and three coordinates are needed.")
        positions[i] = [number(token, place) for token in tokens]
    atoms = Atoms(numbers=numbers, positions=positions)
    if "=" not in comment:
        return atoms
    try:
        found = comment_values(comment)
    except Exception:  # a comment with an equals sign that is no list of values
        return atoms
    found.pop("Properties", None)
    lattice = found.pop("Lattice", None)
    pbc = found.pop("pbc", lattice is not None)
    if lattice is not None:
        if np.shape(lattice) not in ((9,), (3, 3)) or np.asarray(lattice).dtype.kind not in "if":
            raise FileFormatError(f"line {first - 1} of {path}: Lattice must be nine numbers.")
        atoms.set_cell(np.asarray(lattice, dtype=np.float64).reshape(3, 3, order="F").T)
    if np.shape(pbc) in ((), (1,), (3,)) and np.asarray(pbc).dtype.kind in "bi":
        atoms.pbc = np.asarray(pbc, dtype=bool)
    # Words without a value come out as true, and say nothing.
    atoms.info.update({str(k): v for k, v in found.items() if f"{k}=" in comment.replace(" ", "")})
    return atoms


def _stated(comment: str, atoms: Atoms) -> tuple[list[Statement], list[Statement]]:
    two = _TWO_NUMBERS.fullmatch(comment)
    if two is not None:
        charge, multiplicity = int(two[1]), int(two[2])
        if abs(charge) <= _LARGEST_CHARGE and 1 <= multiplicity <= _LARGEST_MULTIPLICITY:
            where = f"the comment '{comment.strip()}' (charge and multiplicity)"
            return [Statement(charge, where)], [Statement(multiplicity, where)]
        return [], []
    charges = [Statement(m[1], f"'{m[0].strip()}'") for m in _CHARGE_WORD.finditer(comment)]
    spins = [Statement(m[1], f"'{m[0].strip()}'") for m in _MULTIPLICITY_WORD.finditer(comment)]
    return charges, spins
