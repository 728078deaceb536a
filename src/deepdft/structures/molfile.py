"""MOL and SDF files, V2000 and V3000: every molecule, with its charge and radicals.

Biovia, CTfile formats (2020). Drawings without coordinates in space become geometries as SMILES do.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from deepdft.errors import DeepDFTError, FileFormatError, UnsupportedStructureError
from deepdft.structures.structure import Reading, Statement, listed
from deepdft.structures.symbols import require_symbol
from deepdft.structures.text import integer, number

_OLD_CHARGES = {0: 0, 1: 3, 2: 2, 3: 1, 4: 0, 5: -1, 6: -2, 7: -3}
_DOUBLET_CODE = 4
_UNPAIRED = {1: 0, 2: 1, 3: 2}
"""Unpaired electrons of M RAD's singlets, doublets and triplets."""

_PLACEHOLDERS = frozenset("R R# A Q * L AH QH X XH M MH".split())  # noqa: SIM905
_STATED = re.compile(r"(?:pubchem_)?(?:total|net|molecular)?_?charge", re.IGNORECASE)
_VALENCES = {6: 4}


@dataclass
class _Table:
    """Atoms and bonds as listed."""

    symbols: list[str] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    charges: dict[int, int] = field(default_factory=dict)
    unpaired: dict[int, int] = field(default_factory=dict)
    bonds: list[tuple[int, int, int]] = field(default_factory=list)


def read_molecules(text: str, path: str) -> Iterator[Reading | DeepDFTError]:
    """Yield the molecules of a MOL or SDF file, or in the place of one why it cannot be used.

    That is a line that is not what it should be, placeholders of atoms, hydrogen that is left out,
    or a drawing where RDKit is not installed.

    Raises:
        FileFormatError: if there is no molecule.
    """
    lines = text.split("\n")
    start = 0
    found = False
    while start < len(lines):
        end = next((i for i in range(start, len(lines)) if lines[i].startswith("$$$$")), len(lines))
        if any(line.strip() for line in lines[start:end]):
            found = True
            try:
                yield _molecule(lines[start:end], path, start)
            except DeepDFTError as error:
                yield error
        start = end + 1
    if not found:
        raise FileFormatError(f"{path} holds no molecule.")


def _molecule(lines: Sequence[str], path: str, before: int) -> Reading:
    place = f"the molecule at line {before + 1} of {path}"
    if len(lines) < 4:
        raise FileFormatError(f"{place}: it ends before its counts.")
    version = lines[3][33:39].strip().upper()
    if version == "V3000" or any(line.startswith("M  V30") for line in lines[4:6]):
        table = _v3000(lines, place)
    else:
        table = _v2000(lines, path, before)
    if not table.symbols:
        raise FileFormatError(f"{place} has no atoms.")
    holders = [s for s in table.symbols if s in _PLACEHOLDERS]
    if holders:
        raise UnsupportedStructureError(
            f"{place} has {listed(sorted(set(holders)))} in place of atoms; fill in what is meant."
        )
    if _is_drawing(lines[1], table):
        from deepdft.structures.smiles import reading_from_drawing

        return reading_from_drawing("\n".join(lines), place)
    return _reading(table, lines, place)


def _is_drawing(header: str, table: _Table) -> bool:
    if any(position[2] for position in table.positions) or len(table.symbols) == 1:
        return False
    kind = header[20:22].upper()
    return kind == "2D" or (kind != "3D" and "H" not in table.symbols and len(table.symbols) > 2)


def _reading(table: _Table, lines: Sequence[str], place: str) -> Reading:
    found = [require_symbol(symbol, place) for symbol in table.symbols]
    numbers = [symbol.number for symbol in found]
    _require_hydrogen(table, numbers, place)
    charges, spins = [], []
    if table.charges:
        total = sum(table.charges.values())
        charges.append(Statement(total, "the charges of its atoms"))
    for name, value in _properties(lines):
        if _STATED.fullmatch(name):
            charges.append(Statement(value, f"the property {name}={value}"))
    if table.unpaired:
        count = sum(table.unpaired.values())
        single = len(table.unpaired) == 1
        spins.append(Statement(count + 1, f"{count} unpaired electrons of its atoms", single))
    notes = list(dict.fromkeys(symbol.assumed for symbol in found if symbol.assumed))
    return Reading(Atoms(numbers, table.positions), None, charges, spins, notes)


def _require_hydrogen(table: _Table, numbers: Sequence[int], place: str) -> None:
    """Refuse a molecule without any hydrogen whose carbon atoms lack bonds."""
    if 1 in numbers or not table.bonds:
        return
    used = np.zeros(len(numbers))
    for first, second, order in table.bonds:
        weight = {4: 1.5}.get(order, float(order if order <= 3 else 1))
        for atom in (first, second):
            if 0 <= atom < len(numbers):
                used[atom] += weight
    for atom, z in enumerate(numbers):
        free = _VALENCES.get(z, 0) - abs(table.charges.get(atom, 0)) - table.unpaired.get(atom, 0)
        if z in _VALENCES and free - used[atom] >= 1:
            raise UnsupportedStructureError(
                f"{place} leaves out its hydrogen atoms; add them, with coordinates (for example "
                "with RDKit or Open Babel)."
            )


def _properties(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line, value in itertools.pairwise(lines):
        match = re.match(r">.*<([^>]+)>", line)
        if match is not None:
            yield match[1].strip(), value.strip()


def _v2000(lines: Sequence[str], path: str, before: int) -> _Table:
    place = f"line {before + 4} of {path}"
    counts = [integer(lines[3][i : i + 3] or "0", place) for i in (0, 3)]
    n_atoms, n_bonds = counts
    if len(lines) < 4 + n_atoms + n_bonds:
        raise FileFormatError(
            f"{place} announces {n_atoms} atoms and {n_bonds} bonds, more than follow."
        )
    table = _Table()
    for i in range(n_atoms):
        _v2000_atom(lines[4 + i], table, f"line {before + 5 + i} of {path}")
    for i in range(4 + n_atoms, 4 + n_atoms + n_bonds):
        where = f"line {before + i + 1} of {path}"
        first, second, order = (integer(lines[i][j : j + 3], where) for j in (0, 3, 6))
        table.bonds.append((first - 1, second - 1, order))
    marked = [line for line in lines[4 + n_atoms + n_bonds :] if line[:6] in ("M  CHG", "M  RAD")]
    if marked:
        # They replace what the lines of atoms say.
        table.charges, table.unpaired = {}, {}
    for line in marked:
        values = [integer(token, f"{place} ({line[:6]})") for token in line[6:].split()]
        for atom, value in zip(values[1::2], values[2::2], strict=False):
            if not 1 <= atom <= n_atoms:
                raise FileFormatError(f"{place}: {line[:6]} names atom {atom} of {n_atoms}.")
            if line[:6] == "M  CHG":
                table.charges[atom - 1] = value
            else:
                table.unpaired[atom - 1] = _UNPAIRED.get(value, 0)
    return table


def _v2000_atom(line: str, table: _Table, place: str) -> None:
    fields = [line[0:10], line[10:20], line[20:30], line[31:34].strip()]
    code = line[36:39].strip()
    if not fields[3] or not all(re.fullmatch(r"\s*[+-]?\d*\.?\d*\s*", f) for f in fields[:3]):
        # Not in columns, as some programs write.
        tokens = line.split()
        if len(tokens) < 4:
            raise FileFormatError(f"{place}: three coordinates and an element are needed.")
        fields, code = tokens[:4], tokens[5] if len(tokens) > 5 else ""
    atom = len(table.symbols)
    table.positions.append([number(text, place) for text in fields[:3]])
    table.symbols.append(fields[3])
    value = integer(code, place) if code else 0
    if _OLD_CHARGES.get(value):
        table.charges[atom] = _OLD_CHARGES[value]
    if value == _DOUBLET_CODE:
        table.unpaired[atom] = 1


def _v3000(lines: Sequence[str], place: str) -> _Table:
    table = _Table()
    part = ""
    index: dict[str, int] = {}
    for text in _v3000_lines(lines):
        tokens = text.split()
        if tokens[:1] == ["BEGIN"]:
            part = tokens[1] if len(tokens) > 1 else ""
        elif tokens[:1] == ["END"]:
            part = ""
        elif part == "ATOM":
            if len(tokens) < 6:
                raise FileFormatError(f"{place}: '{text[:40]}' is no atom.")
            atom = len(table.symbols)
            index[tokens[0]] = atom
            table.symbols.append(tokens[1])
            table.positions.append([number(token, place) for token in tokens[2:5]])
            for token in tokens[6:]:
                key, _, value = token.partition("=")
                if key == "CHG" and integer(value, place):
                    table.charges[atom] = integer(value, place)
                elif key == "RAD" and integer(value, place):
                    table.unpaired[atom] = _UNPAIRED.get(integer(value, place), 0)
        elif part == "BOND" and len(tokens) >= 4:
            ends = [index.get(token, -1) for token in tokens[2:4]]
            table.bonds.append((ends[0], ends[1], integer(tokens[1], place)))
    return table


def _v3000_lines(lines: Sequence[str]) -> Iterator[str]:
    """Yield what stands behind `M  V30`; a line that ends in a hyphen goes on in the next one."""
    held = ""
    for line in lines:
        if not line.startswith("M  V30"):
            continue
        text = line[6:].strip()
        if text.endswith("-"):
            held += text[:-1]
            continue
        yield held + text
        held = ""
