"""SIESTA's binary grids: LABEL.RHO, and what lies beside it in the same layout.

Unformatted Fortran records (iorho.F of SIESTA): the cell, nine float64 in bohr; the point counts
and the count of spin components, four int32; then, for each component, each z and each y, a record
of the values along x, e/bohr^3 in float32 (float64 if so compiled). Two components are spin up and
down; four are the density matrix: up, down, real and imaginary part of up-down. The file has no
atoms; they are taken from LABEL.XV beside it, if there is one.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from io import RawIOBase

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats.fortran_records import take
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.quantities import QUANTITIES, Quantity, find_quantity, refusal
from deepdft.formats.source import Source, find_source
from deepdft.formats.structure_file import read_structure
from deepdft.units import BOHR

_OTHERS = (
    (re.compile(r"\.DRHO$", re.IGNORECASE), "difference-density"),
    (re.compile(r"\.LDOS$", re.IGNORECASE), "partial-density"),
    (re.compile(r"\.(VH|VT|VNA)$", re.IGNORECASE), "potential"),
)


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a SIESTA grid."""
    return _byte_order(head) is not None


def _byte_order(head: bytes) -> str | None:
    for order in "<>":
        if len(head) >= 104:
            marks = [struct.unpack_from(order + "i", head, at)[0] for at in (0, 76, 80, 100)]
            if marks == [72, 72, 16, 16]:
                return order
    return None


@dataclass
class _Layout:
    order: str
    cell: FloatArray
    shape: tuple[int, int, int]
    components: int
    start: int


def read(source: Source, *, quantity: str | None = None, structure: str | None = None) -> Density:
    """Read a SIESTA grid.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        structure: file with the atoms, any that ASE reads; instead of LABEL.XV beside the grid.

    Raises:
        FileFormatError: if the file is not such a grid, is damaged, or holds something else.
    """
    kind = recognise(source, quantity, _OTHERS)
    with source.open() as file:
        layout = _read_header(source, file)
        components = _read_components(source, file, layout)
    grid = Grid(layout.cell, layout.shape)
    notes: list[str] = []
    atoms = find_atoms(os.path.splitext(source.local)[0] + ".XV", structure, notes)
    return density_of(source, kind, atoms, grid, components, notes)


def density_of(
    source: Source,
    kind: Quantity,
    atoms: Atoms,
    grid: Grid,
    components: list[FloatArray],
    notes: list[str],
) -> Density:
    """Return the density of a grid's components, over the cell, e/bohr^3 in the file."""
    atoms.cell = grid.cell
    total, spin = combine_components(components)
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/bohr^3",
        pbc=[True] * 3,
        described={"code": "SIESTA"},
        notes=notes,
    )
    return interpretation.density(atoms, grid, total, spin)


def recognise(
    source: Source, asked: str | None, others: Sequence[tuple[re.Pattern[str], str]]
) -> Quantity:
    """Return the quantity asked for, or a density unless the name says that it is another.

    Args:
        source: the file.
        asked: quantity, if the reader was given one.
        others: names of files that hold something else, and what.

    Raises:
        FileFormatError: if the name is one of those.
    """
    if asked is not None:
        return find_quantity(asked)
    for pattern, name in others:
        if pattern.search(source.name):
            raise refusal(source.path, name, f"its name is {source.name}")
    return QUANTITIES["density"]


def _damaged(source: Source, reason: str) -> FileFormatError:
    return FileFormatError(f"{source.path} is not a SIESTA grid, or it is damaged: {reason}.")


def _take(source: Source, file: RawIOBase, count: int) -> bytes:
    return take(file, count, lambda reason: _damaged(source, reason))


def _read_header(source: Source, file: RawIOBase) -> _Layout:
    head = _take(source, file, 104)
    order = _byte_order(head)
    if order is None:
        raise _damaged(source, "the first records are not a cell and three point counts")
    cell = np.frombuffer(head[4:76], dtype=order + "f8").reshape(3, 3) * BOHR
    nx, ny, nz, components = struct.unpack_from(order + "iiii", head, 84)
    if min(nx, ny, nz) < 1 or components not in (1, 2, 4, 8):
        raise _damaged(source, f"point counts {nx}, {ny}, {nz} with {components} components")
    if not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-12:
        raise _damaged(source, "its cell has no volume")
    return _Layout(order, cell, (nx, ny, nz), components, len(head))


def _read_components(source: Source, file: RawIOBase, layout: _Layout) -> list[FloatArray]:
    """Read all records; (nx, ny, nz) for each component."""
    nx, ny, nz = layout.shape
    length = struct.unpack(layout.order + "i", _take(source, file, 4))[0]
    if length not in (4 * nx, 8 * nx):
        raise _damaged(source, f"a record of {length} bytes does not hold {nx} values")
    real = f"{layout.order}f{length // nx}"
    mark = f"{layout.order}i4"
    kind = np.dtype([("head", mark), ("row", real, nx), ("tail", mark)])
    expected = layout.components * nz * ny * kind.itemsize
    if source.size is not None and layout.start + expected > source.size:
        raise _damaged(
            source, f"{source.size} bytes do not hold {layout.components * nx * ny * nz} values"
        )
    components, pending = [], struct.pack(layout.order + "i", length)
    for _ in range(layout.components):
        planes = []
        for _ in range(nz):
            data = pending + _take(source, file, ny * kind.itemsize - len(pending))
            pending = b""
            rows = np.frombuffer(data, dtype=kind)
            if (rows["head"] != length).any() or (rows["tail"] != length).any():
                raise _damaged(source, "a record has another length than the first")
            if not np.isfinite(rows["row"]).all():
                raise _damaged(source, "a value is not finite")
            planes.append(rows["row"].astype(np.float64))
        components.append(np.stack(planes).transpose(2, 1, 0))
    return components


def combine_components(
    components: list[FloatArray],
) -> tuple[FloatArray, FloatArray | None]:
    """Return total and spin density of one, two or four components of the density matrix."""
    if len(components) == 1:
        return components[0], None
    up, down = components[:2]
    if len(components) == 2:
        return up + down, up - down
    # rho_up_down = (m_x - i m_y) / 2
    return up + down, np.stack([2 * components[2], -2 * components[3], up - down])


def find_atoms(path: str, structure: str | None, notes: list[str]) -> Atoms:
    """Return the atoms of a structure file, else of the LABEL.XV at `path`, else none; with notes.

    Raises:
        FileFormatError: if the file at `path` is damaged.
        ConfigurationError: if the structure file cannot be read.
    """
    if structure is not None:
        atoms = read_structure(structure)
        return Atoms(numbers=atoms.numbers, positions=atoms.positions)
    if not os.path.exists(path):
        notes.append(
            f"The file has no atoms, and there is no {os.path.basename(path)} beside it; pass "
            "structure=FILE."
        )
        return Atoms()
    notes.append(f"The atoms were taken from {os.path.basename(path)}.")
    return _read_xv(path)


def _read_xv(path: str) -> Atoms:
    """Read LABEL.XV: three lines of cell (bohr), the count, and a line an atom."""
    with find_source(path).open_text() as stream:
        for _ in range(3):
            stream.floats(stream.read_line("a lattice vector"), 3, "a lattice vector")
        (count,) = stream.integers(stream.read_line("the count of atoms"), 1, "the count of atoms")
        rows: list[list[float]] = []
        while len(rows) < count:
            line = stream.read_line("an atom")
            rows.append(stream.floats(line, 5, "a species, an atomic number and a position"))
    table = np.array(rows).reshape(-1, 5)
    return Atoms(numbers=table[:, 1].astype(int), positions=table[:, 2:] * BOHR)
