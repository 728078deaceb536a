"""Quantum ESPRESSO's plot files: what pp.x saves as `filplot`.

Format: plot_io.f90 of Quantum ESPRESSO. Text: a title; point counts (allocated and used), atoms and
species; the Bravais lattice; cutoffs and the number of the quantity; the species with their valence
charges; the atoms in units of the lattice parameter; the values in e/bohr^3, x fastest.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density
from deepdft.formats.bravais import lattice_vectors
from deepdft.formats.elements import atomic_number
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.quantities import QUANTITIES, Quantity, find_quantity, refusal
from deepdft.formats.source import Source
from deepdft.formats.text.reading import TextStream
from deepdft.units import BOHR

PLOT_NUMBERS = {
    0: "density",
    1: "potential",
    2: "potential",
    3: "partial-density",
    5: "partial-density",
    6: "spin-density",
    7: "partial-density",
    8: "elf",
    9: "difference-density",
    10: "partial-density",
    11: "potential",
    12: "potential",
    13: "spin-density",
    17: "density",
    18: "potential",
    21: "density",
    23: "partial-density",
}
"""What the option `plot_num` of pp.x selects (https://www.quantum-espresso.org/Doc/INPUT_PP.html)."""

_RYDBERG_QUANTITIES = ("potential",)
_ALL_ELECTRON = 21


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a plot file of pp.x."""
    lines = head.split(b"\n", 3)
    if len(lines) < 4:
        return False
    counts, lattice = lines[1].split(), lines[2].split()
    try:
        return len([int(n) for n in counts]) == 8 and len([float(x) for x in lattice]) == 7
    except ValueError:
        return False


@dataclass
class _Header:
    title: str
    atoms: Atoms
    allocated: tuple[int, int, int]
    shape: tuple[int, int, int]
    cell: NDArray[np.float64]
    cutoff: float
    plot_number: int
    charges: NDArray[np.float64]


def read(source: Source, *, quantity: str | None = None) -> Density:
    """Read a plot file of pp.x.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the file is not such a file, is damaged, or holds something else.
    """
    with source.open_text() as stream:
        header = _read_header(stream)
        kind = _recognise(source, header.plot_number, quantity)
        grid = stream.make_grid(header.cell, header.shape)
        nx, ny, nz = header.allocated
        numbers = stream.read_numbers(nx * ny * nz)
    values = numbers.reshape(header.allocated, order="F")
    values = values[: header.shape[0], : header.shape[1], : header.shape[2]]
    if kind.name in _RYDBERG_QUANTITIES:
        values *= 0.5  # hartree
    described = {"code": "Quantum ESPRESSO", "basis": f"{header.cutoff:g} Ry"}
    if header.plot_number == _ALL_ELECTRON:
        described["core"] = "all-electron"
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/bohr^3",
        pbc=[True] * 3,
        described=described,
        charges=header.charges,
        metadata={"comment": header.title},
    )
    return interpretation.density(header.atoms, grid, values)


def _recognise(source: Source, plot_number: int, asked: str | None) -> Quantity:
    if asked is not None:
        return find_quantity(asked)
    name = PLOT_NUMBERS.get(plot_number, "potential")
    if name != "density":
        raise refusal(source.path, name, f"its plot_num is {plot_number}")
    return QUANTITIES["density"]


def _read_header(stream: TextStream) -> _Header:
    title = stream.read_line("the title").strip()
    line = stream.read_line("the point counts")
    counts = stream.integers(line, 8, "six point counts and the counts of atoms and species")
    allocated = (counts[0], counts[1], counts[2])
    shape = (counts[3], counts[4], counts[5])
    if any(n < 1 or n > m for n, m in zip(shape, allocated, strict=True)):
        raise stream.error(f"{shape} points do not fit into {allocated}.", stream.line - 1)
    cell, unit = _read_cell(stream)
    line = stream.read_line("the cutoffs and the quantity")
    cutoffs = stream.floats(line, 4, "three cutoffs and the number of the quantity")
    numbers, valence = [], []
    for _ in range(counts[7]):
        tokens = stream.read_line("a species").split()
        number = atomic_number(tokens[1]) if len(tokens) >= 3 else None
        if number is None:
            raise stream.error(
                f"Expected a species, found {' '.join(tokens)[:40]!r}.", stream.line - 1
            )
        numbers.append(number)
        valence.append(stream.floats(tokens[2], 1, "a valence charge")[0])
    kinds, positions = _read_atoms(stream, counts[6], len(numbers))
    atoms = Atoms(
        numbers=np.array(numbers, dtype=int)[kinds], positions=positions * unit, cell=cell
    )
    charges = np.array(valence, dtype=np.float64)[kinds]
    return _Header(title, atoms, allocated, shape, cell, cutoffs[2], int(cutoffs[3]), charges)


def _read_cell(stream: TextStream) -> tuple[NDArray[np.float64], float]:
    """Return the cell, and the lattice parameter that positions are given in (Å)."""
    line = stream.read_line("the Bravais lattice")
    lattice, *parameters = stream.floats(line, 7, "a Bravais lattice and six parameters")
    unit = parameters[0] * BOHR
    if lattice == 0:
        rows = [stream.floats(stream.read_line("a vector"), 3, "a vector") for _ in range(3)]
        return np.array(rows) * unit, unit
    try:
        return lattice_vectors(int(lattice), parameters) * BOHR, unit
    except ValueError as error:
        raise stream.error(str(error), stream.line - 1) from None


def _read_atoms(
    stream: TextStream, count: int, species: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    rows: list[list[float]] = []
    while len(rows) < count:
        line = stream.read_line(f"atom {len(rows) + 1} of {count}")
        rows.append(stream.floats(line, 5, "an index, a position and a species"))
        if rows[-1][4] not in range(1, species + 1):
            raise stream.error(f"There is no species {rows[-1][4]:g}.", stream.line - 1)
    table = np.array(rows).reshape(-1, 5)
    return table[:, 4].astype(np.int64) - 1, table[:, 1:4]
