"""Molden files: orbitals in a Gaussian basis, as nearly every molecular program writes them.

Format: https://www.theochem.ru.nl/molden/molden_format.html. Sections may come in any order and
case; those that are not needed are skipped. Beyond the specification: h and i shells (ORCA, Psi4)
and `[Cell]`, three cell vectors (CP2K, tblite, Multiwfn; Å unless it says AU), which makes the
structure periodic and its orbitals those of the Gamma point. What programs do differently in the
normalisation and the signs of basis functions is found out by `deepdft.formats.molden_dialects`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.orbitals.density import OrbitalDensity
from deepdft.formats.elements import atomic_number
from deepdft.formats.molden_dialects import MoldenShell, interpret
from deepdft.formats.orbital_grid import DEFAULT_MARGIN, DEFAULT_SPACING, density_on_grid
from deepdft.formats.source import Source, find_source
from deepdft.formats.text.reading import TextStream, parse_float
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

_SPHERICAL = {
    "5d": {2: True, 3: True},
    "5d7f": {2: True, 3: True},
    "5d10f": {2: True, 3: False},
    "6d": {2: False},
    "6d10f": {2: False, 3: False},
    "6d7f": {2: False, 3: True},
    "7f": {3: True},
    "10f": {3: False},
    # No program writes spherical g with Cartesian h, and some have no mark for h and i.
    "9g": {4: True, 5: True, 6: True},
    "15g": {4: False, 5: False, 6: False},
    "11h": {5: True},
    "21h": {5: False},
    "13i": {6: True},
    "28i": {6: False},
}
_UNOCCUPIED_KEPT = 64
"""Empty orbitals of each spin that are read, to tell dialects apart by their orthonormality."""

_LARGEST_OCCUPATION = 2.1
_MOST_FUNCTIONS = 10**9

_PROGRAMS = (
    (re.compile(r"pyscf v\[([^\]]+)\]", re.IGNORECASE), "PySCF {}"),
    (re.compile(r"orca", re.IGNORECASE), "ORCA"),
    (re.compile(r"psi4", re.IGNORECASE), "Psi4"),
    (re.compile(r"cp2k", re.IGNORECASE), "CP2K"),
    (re.compile(r"xtb", re.IGNORECASE), "xTB"),
    (re.compile(r"turbomole", re.IGNORECASE), "TURBOMOLE"),
    (re.compile(r"molpro", re.IGNORECASE), "Molpro"),
)


@dataclass
class _Content:
    """What a file says, before it is interpreted."""

    words: list[str] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    cell: list[list[float]] = field(default_factory=list)
    shells: list[MoldenShell] = field(default_factory=list)
    spherical: dict[int, bool] = field(default_factory=dict)
    orbitals: list[dict[int, float]] = field(default_factory=list)
    occupations: list[float] = field(default_factory=list)
    beta: list[bool] = field(default_factory=list)
    titles: int = 0


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a Molden file."""
    return b"[molden format]" in head[:4096].lower()


def read_molden(path: str | Path) -> OrbitalDensity:
    """Read the density of the occupied orbitals of a Molden file.

    Atoms without a nucleus ("ghosts") are kept as element X, because they carry basis functions.
    There is a spin density if there are beta orbitals or singly occupied ones.

    Raises:
        FileFormatError: if the file is missing, damaged, holds no occupied orbitals or Slater
            functions, or its orbitals are not orthonormal under any known convention.
    """
    return _read(find_source(path))


def read(
    source: Source, *, spacing: float = DEFAULT_SPACING, margin: float = DEFAULT_MARGIN
) -> Density:
    """Read a Molden file and evaluate its density on a grid.

    Args:
        source: the file.
        spacing: distance between grid points, Å.
        margin: how far the grid of a molecule reaches beyond the outermost nuclei, Å.

    Raises:
        FileFormatError: as `read_molden`.
        ConfigurationError: if the grid is unusable.
    """
    return density_on_grid(_read(source), spacing, margin)


def _read(source: Source) -> OrbitalDensity:
    with source.open_text() as stream:
        content = _parse(stream)
    for name, missing in (
        ("[Atoms]", not content.numbers),
        ("[GTO]", not content.shells),
        ("[MO]", not content.orbitals),
    ):
        if missing:
            raise FileFormatError(
                f"{source.path} has no {name} section with anything in it, so it does not give a "
                "density."
            )
    if not any(content.occupations):
        raise FileFormatError(f"{source.path} has no occupied orbitals, so it gives no density.")
    cell = np.array(content.cell) if content.cell else None
    atoms = Atoms(content.numbers, np.array(content.positions), cell=cell, pbc=cell is not None)
    try:
        shells, coefficients = interpret(
            atoms,
            content.shells,
            content.spherical,
            content.orbitals,
            np.array(content.beta),
            prefer_orca=_program(content.words) == "ORCA",
        )
    except (ConfigurationError, FileFormatError) as error:
        raise FileFormatError(f"{source.path}: {error}") from None
    occupations = np.array(content.occupations)
    if content.titles > 1 and not any(content.beta) and np.isin(occupations, (0, 1)).all():
        # CFOUR, which alone repeats the title, counts the electrons of closed shells once.
        occupations = 2 * occupations
    filled = np.flatnonzero(occupations)
    spin = _spin_occupations(occupations, np.array(content.beta))
    return OrbitalDensity(
        atoms,
        shells,
        coefficients[:, filled],
        occupations[filled],
        LevelOfTheory(code=_program(content.words)),
        spin_occupations=None if spin is None else spin[filled],
    )


def _spin_occupations(occupations: FloatArray, beta: NDArray[np.bool_]) -> FloatArray | None:
    """Return up minus down for each orbital, or None where all is paired or unknown."""
    if beta.any():
        return np.where(beta, -occupations, occupations)
    single = np.isclose(occupations, 1.0)
    # Fractional occupations are natural orbitals, which do not tell the spin.
    if single.any() and np.isclose(occupations, np.round(occupations)).all():
        return np.where(single, occupations, 0.0)
    return None


def _program(words: list[str]) -> str:
    text = " ".join(words)
    for pattern, name in _PROGRAMS:
        match = pattern.search(text)
        if match:
            return name.format(*match.groups())
    return ""


def _parse(stream: TextStream) -> _Content:
    content = _Content()
    section, rest = "", ""
    while True:
        if section == "atoms":
            following = _parse_atoms(stream, content, "ang" in rest)
        elif section == "gto":
            following = _parse_shells(stream, content)
        elif section == "mo":
            following = _parse_orbitals(stream, content)
        elif section == "cell":
            following = _parse_cell(stream, content, "au" in rest)
        elif section == "sto":
            raise stream.error("The basis consists of Slater functions, which are not supported.")
        else:
            content.titles += section == "molden format"
            content.spherical.update(_SPHERICAL.get(section, {}))
            following = _skip(stream, content, section in ("", "molden format", "title"))
        if following is None:
            return content
        section, rest = following


def _header(line: str) -> tuple[str, str] | None:
    """Return the name of a section and the rest of its line, in lower case."""
    match = re.match(r"\s*\[([^\]]+)\](.*)", line)
    return (match[1].strip().lower(), match[2].lower()) if match else None


def _skip(stream: TextStream, content: _Content, keep: bool) -> tuple[str, str] | None:
    while (line := stream.next_line()) is not None:
        if (header := _header(line)) is not None:
            return header
        if keep and len(content.words) < 20:
            content.words.append(line.strip())
    return None


def _parse_atoms(stream: TextStream, content: _Content, angstrom: bool) -> tuple[str, str] | None:
    unit = 1.0 if angstrom else BOHR
    while (line := stream.next_line()) is not None:
        if (header := _header(line)) is not None:
            return header
        tokens = line.split()
        if not tokens:
            continue
        if len(tokens) < 6:
            raise stream.error("Expected an element, two numbers and a position.", stream.line - 1)
        content.numbers.append(_element(stream, tokens[0], tokens[2]))
        coordinates = stream.floats(" ".join(tokens[3:6]), 3, "a position")
        content.positions.append([unit * value for value in coordinates])
    return None


def _element(stream: TextStream, name: str, number: str) -> int:
    """Return the atomic number; 0 for a ghost atom.

    The name counts, because with pseudopotentials some programs give the charge of the core
    instead of the atomic number.
    """
    charge = stream.floats(number, 1, "an atomic number")[0]
    letters = re.match(r"[A-Za-z]*", name)
    symbol = (letters[0] if letters else "").capitalize()
    if charge == 0 or atomic_number(name) == 0:
        return 0
    if symbol in atomic_numbers:
        return int(atomic_numbers[symbol])
    if charge == int(charge) and 0 < charge < 119:
        return int(charge)
    raise stream.error(f"There is no element {name!r} with number {number}.", stream.line - 1)


def _parse_cell(stream: TextStream, content: _Content, bohr: bool) -> tuple[str, str] | None:
    unit = BOHR if bohr else 1.0
    while (line := stream.next_line()) is not None:
        if (header := _header(line)) is not None:
            return header
        if line.strip() and len(content.cell) < 3:
            content.cell.append([unit * v for v in stream.floats(line, 3, "a cell vector")])
    return None


def _parse_shells(stream: TextStream, content: _Content) -> tuple[str, str] | None:
    atom = -1
    while (line := stream.next_line()) is not None:
        if (header := _header(line)) is not None:
            return header
        tokens = line.split()
        if not tokens:
            continue
        if tokens[0].isdecimal():
            atom = stream.integers(line, 1, "the index of an atom")[0] - 1
            continue
        letters = tokens[0].lower()
        if atom < 0 or not set(letters) <= set("spdfghi") or len(tokens) < 2:
            raise stream.error(
                f"Expected an atom or a shell (s to i), found {line.strip()[:60]!r}.",
                stream.line - 1,
            )
        (count,) = stream.integers(tokens[1], 1, "a number of primitives")
        rows = [
            stream.floats(stream.read_line("a primitive"), 1 + len(letters), "a primitive")
            for _ in range(count)
        ]
        for column, letter in enumerate(letters, start=1):
            exponents = tuple(row[0] for row in rows)
            coefficients = tuple(row[column] for row in rows)
            momentum = "spdfghi".index(letter)
            content.shells.append(MoldenShell(atom, momentum, exponents, coefficients))
    return None


def _parse_orbitals(stream: TextStream, content: _Content) -> tuple[str, str] | None:
    """Read orbitals: lines "name= value", then lines "function coefficient", zeros left out."""
    unoccupied = {False: 0, True: 0}
    properties: dict[str, str] = {}
    coefficients: dict[int, float] = {}

    def finish() -> None:
        if not properties and not coefficients:
            return
        if "occup" not in properties:
            raise stream.error("An orbital has no occupation (Occup=).")
        occupation = stream.floats(properties["occup"], 1, "an occupation")[0]
        if abs(occupation) > _LARGEST_OCCUPATION:
            raise stream.error(f"An orbital holds two electrons at most, not {occupation:g}.")
        beta = properties.get("spin", "alpha").lower().startswith("b")
        unoccupied[beta] += occupation == 0
        if occupation != 0 or unoccupied[beta] <= _UNOCCUPIED_KEPT:
            content.orbitals.append(dict(coefficients))
            content.occupations.append(occupation)
            content.beta.append(beta)
        properties.clear()
        coefficients.clear()

    following = None
    while (line := stream.next_line()) is not None:
        name, equals, value = line.partition("=")
        if equals:
            if coefficients:
                finish()
            properties[name.strip().lower()] = value.strip()
            continue
        if (following := _header(line)) is not None:
            break
        tokens = line.split()
        if tokens:
            number, coefficient = _coefficient(stream, tokens)
            coefficients[number] = coefficient
    finish()
    return following


def _coefficient(stream: TextStream, tokens: list[str]) -> tuple[int, float]:
    """Return the index of a function, from 0, and its coefficient."""
    try:
        number = int(tokens[0])
        if abs(number) > _MOST_FUNCTIONS:
            raise ValueError
        return number - 1, parse_float(tokens[1])
    except (ValueError, IndexError):
        raise stream.error(
            f"Expected a function and its coefficient, found {' '.join(tokens)[:60]!r}.",
            stream.line - 1,
        ) from None
