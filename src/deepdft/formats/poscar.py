"""The structure at the head of VASP's files (POSCAR layout, https://www.vasp.at/wiki/POSCAR).

Read are the headers of VASP 4 (no line of elements) and 5, one or three scale factors or a volume
(negative factor), selective dynamics, direct and Cartesian positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from deepdft.arrays import FloatArray
from deepdft.errors import did_you_mean
from deepdft.formats.elements import atomic_number
from deepdft.formats.text.columns import equal_columns, spread
from deepdft.formats.text.reading import TextStream


@dataclass
class Structure:
    """A structure with its comment line and, as written, the flags of selective dynamics."""

    comment: str
    atoms: Atoms
    selective_dynamics: list[str] = field(default_factory=list)


def read_structure(stream: TextStream, species: Sequence[str] | None = None) -> Structure:
    """Read a header up to the last atom.

    Args:
        stream: at the comment line.
        species: elements of a file that does not name them, one for each count.

    Raises:
        FileFormatError: if a line is not what it should be, or the elements are not known.
    """
    comment = stream.read_line("the comment")
    cell, scale = _read_cell(stream)
    symbols, counts = _read_species(stream, comment, species)
    line = stream.read_line("'Direct' or 'Cartesian'").strip()
    selective = line[:1].lower() == "s"
    if selective:
        line = stream.read_line("'Direct' or 'Cartesian'").strip()
    positions, flags = _read_positions(stream, sum(counts), selective)
    positions = positions * scale if line[:1].lower() in ("c", "k") else positions @ cell
    numbers = np.repeat([atomic_numbers[symbol] for symbol in symbols], counts)
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    return Structure(comment.strip(), atoms, flags)


def _read_cell(stream: TextStream) -> tuple[FloatArray, FloatArray]:
    """Return the cell (Å) and the scale factors of x, y and z."""
    line = stream.read_line("the scale factor")
    count = 3 if len(line.split()) >= 3 and _are_numbers(line.split()[:3]) else 1
    factors = np.array(stream.floats(line, count, "a scale factor"))
    rows = [
        stream.floats(stream.read_line("a lattice vector"), 3, "a lattice vector") for _ in range(3)
    ]
    cell = np.array(rows)
    volume = abs(float(np.linalg.det(cell)))
    if volume < 1e-12 or (factors == 0).any() or (count == 3 and (factors < 0).any()):
        raise stream.error(
            f"The lattice vectors {rows} with scale {factors.tolist()} span no cell.",
            stream.line - 1,
        )
    if factors[0] < 0:
        factors = np.cbrt(-factors / volume)
    scale = factors * np.ones(3)
    return cell * scale, scale


def _are_numbers(tokens: Sequence[str]) -> bool:
    try:
        return len([float(token) for token in tokens]) > 0
    except ValueError:
        return False


def _read_species(
    stream: TextStream, comment: str, species: Sequence[str] | None
) -> tuple[list[str], list[int]]:
    line = stream.read_line("the elements or their counts").partition("!")[0]
    if line.split() and all(token.isdecimal() for token in line.split()):
        names = list(species) if species is not None else comment.split()
        missing = "The file does not name its elements (VASP 4); pass species=[...], one a count."
    else:
        names = list(species) if species is not None else line.split()
        missing = "The elements and their counts do not match."
        line = stream.read_line("the counts of the elements").partition("!")[0]
    if "VASP 4" not in missing and len(line.split()) < len(names):
        line = " ".join(equal_columns(line, len(names))) or line
    counts = stream.integers(line, max(1, len(line.split())), "the counts of the elements")
    if species is None and "VASP 4" in missing:
        names = names[: len(counts)]
        if len(names) < len(counts) or any(_symbol(name) is None for name in names):
            raise stream.error(missing, stream.line - 1)
    if len(names) != len(counts) or min(counts) < 0:
        raise stream.error(f"{missing} ({names} against {counts}).", stream.line - 1)
    symbols = [_symbol(name) for name in names]
    for name, symbol in zip(names, symbols, strict=True):
        if symbol is None:
            hint = did_you_mean(name, chemical_symbols)
            raise stream.error(f"There is no element '{name[:20]}'.{hint}", stream.line - 1)
    return [symbol for symbol in symbols if symbol is not None], counts


def _symbol(name: str) -> str | None:
    """Return the element of `Ni`, `Ni_pv` or `Ni_pv/6a2f546d`, X for a ghost, or None."""
    bare = name.partition("/")[0].partition("_")[0]
    if bare in atomic_numbers:
        return bare
    return "X" if atomic_number(bare) == 0 else None


def _read_positions(
    stream: TextStream, count: int, selective: bool
) -> tuple[FloatArray, list[str]]:
    rows: list[list[float]] = []
    flags: list[str] = []
    while len(rows) < count:
        line = stream.read_line(f"the position of atom {len(rows) + 1} of {count}")
        rows.append(stream.floats(line, 3, "a position"))
        if selective:
            flags.append(" ".join(spread(line)[3:6]))
    return np.array(rows).reshape(-1, 3), flags


def format_structure(structure: Structure) -> str:
    """Return the header as text, in the layout of VASP 5.

    The order of the atoms is kept: an element that comes in several places is named several times.
    """
    atoms = structure.atoms
    groups = [(symbol, len(list(group))) for symbol, group in groupby(atoms.symbols)]
    cell = np.asarray(atoms.cell)
    lines = [structure.comment, "   1.00000000000000"]
    lines += ["".join(f" {x:21.16f}" for x in vector) for vector in cell]
    lines.append("".join(f" {symbol:>4}" for symbol, _ in groups))
    lines.append("".join(f" {count:5d}" for _, count in groups))
    flags = structure.selective_dynamics
    if len(flags) == len(atoms) > 0:
        lines.append("Selective dynamics")
    else:
        flags = [""] * len(atoms)
    lines.append("Direct")
    # Rounded first, and without negative zeros, so that writing what was read changes nothing.
    direct = np.round(np.linalg.solve(cell.T, atoms.positions.T).T, 14) + 0.0
    for vector, flag in zip(direct, flags, strict=True):
        lines.append(("".join(f" {x:17.14f}" for x in vector) + f" {flag}").rstrip())
    return "\n".join(lines) + "\n"
