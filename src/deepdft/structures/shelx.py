"""SHELX files (`.res`, `.ins`), whose symmetry (LATT, SYMM) ASE leaves out.

http://shelx.uni-goettingen.de/shelxl_html.php; AIRSS writes the same layout.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import gemmi
import numpy as np
from ase import Atoms

from deepdft.errors import FileFormatError
from deepdft.structures.cell_parameters import cell_vectors
from deepdft.structures.occupancy import FULL, Occupancies
from deepdft.structures.structure import Reading
from deepdft.structures.symbols import Symbol, require_symbol
from deepdft.structures.symmetry import orbits, parse_operations
from deepdft.structures.text import integer, number

_CENTRINGS = {
    1: ["0,0,0"],
    2: ["0,0,0", "1/2,1/2,1/2"],
    3: ["0,0,0", "2/3,1/3,1/3", "1/3,2/3,2/3"],
    4: ["0,0,0", "0,1/2,1/2", "1/2,0,1/2", "1/2,1/2,0"],
    5: ["0,0,0", "0,1/2,1/2"],
    6: ["0,0,0", "1/2,0,1/2"],
    7: ["0,0,0", "1/2,1/2,0"],
}
"""Translations of LATT 1 to 7: P, I, R (obverse), F, A, B, C."""

_ATOM = re.compile(r"[A-Za-z]{1,2}\w{0,6}$")


def read_shelx(text: str, path: str) -> Iterator[Reading]:
    """Yield the structure of a SHELX file.

    Raises:
        FileFormatError: if it has no cell, or a line is not what it should be.
    """
    cell: list[float] | None = None
    lattice, elements = 1, []
    symmetry: list[str] = []
    sites: list[tuple[str, Symbol, list[float], float]] = []
    for i, tokens in _instructions(text):
        place = f"line {i} of {path}"
        keyword = tokens[0].upper()
        if keyword == "CELL" and len(tokens) >= 8:
            cell = [number(token, place) for token in tokens[2:8]]
        elif keyword == "LATT" and len(tokens) > 1:
            lattice = integer(tokens[1], place)
        elif keyword == "SYMM":
            symmetry.append("".join(tokens[1:]))
        elif keyword == "SFAC":
            elements += [t for t in tokens[1:] if re.match(r"[A-Za-z]", t)]
        elif keyword in ("END", "HKLF"):
            break
        elif elements and _is_atom(tokens):
            sites.append(_site(tokens, elements, place))
    if cell is None or not sites:
        raise FileFormatError(f"{path} has no {'cell' if cell is None else 'atoms'}.")
    if abs(lattice) not in _CENTRINGS:
        raise FileFormatError(f"{path}: LATT must be 1 to 7 or -1 to -7, not {lattice}.")
    yield _reading(cell, _operations(lattice, symmetry, path), sites, path)


def _instructions(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line numbers and words; a line that ends in `=` goes on in the next one."""
    held, first = "", 0
    for i, line in enumerate(text.split("\n"), 1):
        bare = line.partition("!")[0].rstrip()
        first = first if held else i
        if bare.endswith("="):
            held += bare[:-1] + " "
            continue
        tokens = (held + bare).split()
        held = ""
        if tokens and tokens[0].upper() not in ("TITL", "REM"):
            yield first, tokens


def _is_atom(tokens: list[str]) -> bool:
    if len(tokens) < 5 or not _ATOM.match(tokens[0]) or not re.fullmatch("[0-9]{1,9}", tokens[1]):
        return False
    return all(re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", t) for t in tokens[2:5])


def _site(
    tokens: list[str], elements: list[str], place: str
) -> tuple[str, Symbol, list[float], float]:
    index = int(tokens[1])
    if not 1 <= index <= len(elements):
        raise FileFormatError(f"{place}: SFAC names {len(elements)} elements, not {index}.")
    values = [number(token, place) for token in tokens[2:6]]
    # 10 is added to what a refinement keeps fixed.
    position = [value - 10 if 5 < value < 15 else value for value in values[:3]]
    occupancy = values[3] if len(values) > 3 else 1.0
    if abs(occupancy) > 15:
        raise FileFormatError(
            f"{place}: the occupancy {occupancy:g} is a free variable; write it as a number."
        )
    occupancy = occupancy - 10 if occupancy > 5 else occupancy
    return tokens[0], require_symbol(elements[index - 1], place), position, occupancy


def _operations(lattice: int, symmetry: list[str], path: str) -> list[gemmi.Op]:
    operations = [gemmi.Op("x,y,z"), *parse_operations(symmetry, path)]
    if lattice > 0:
        operations += [op * gemmi.Op("-x,-y,-z") for op in operations]
    result = []
    for shift in _CENTRINGS[abs(lattice)]:
        words = zip("xyz", shift.split(","), strict=True)
        translation = gemmi.Op(",".join(f"{axis}+{step}" for axis, step in words))
        result += [translation * op for op in operations]
    return result


def _reading(
    cell: list[float],
    operations: list[gemmi.Op],
    sites: list[tuple[str, Symbol, list[float], float]],
    path: str,
) -> Reading:
    vectors = cell_vectors(cell, path, may_be_flat=False)
    positions = np.array([site[2] for site in sites])
    found = orbits(positions, operations, vectors)
    source = np.repeat(np.arange(len(sites)), [len(orbit.positions) for orbit in found])
    values = np.array([site[3] for site in sites])
    # The occupancy of an atom on a symmetry element is its share.
    shared = values * [orbit.coinciding for orbit in found]
    values = np.where(shared <= 1 + FULL, shared, values)
    numbers = np.array([site[1].number for site in sites])
    atoms = Atoms(numbers[source], cell=vectors, pbc=True)
    images = np.concatenate([orbit.positions for orbit in found])
    atoms.set_scaled_positions(images if len(operations) > 1 else positions)
    notes = list(dict.fromkeys(site[1].assumed for site in sites if site[1].assumed))
    if len(source) > len(sites):
        notes.append(f"symmetry was applied: {len(sites)} sites became {len(source)} atoms")
    labels = [sites[i][0] for i in source]
    return Reading(atoms, notes=notes, occupancies=Occupancies(values[source], labels))
