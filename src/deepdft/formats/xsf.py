"""XCrySDen's XSF files: a structure and a "general grid", Å.

Format: http://www.xcrysden.org/doc/XSF.html. A general grid includes its far faces: n points span
the vectors given, so the step is the vector divided by n - 1, and in a periodic direction the last
layer repeats the first. Files that do not repeat it are recognised (see `deepdft.formats.faces`),
and ASE's, whose vectors are too long by (n + 1) / n, by the cell of the structure. XSF has no unit
for the values: programs write e/bohr^3 (Quantum ESPRESSO) or e/Å^3; the electron count decides, and
a note says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.formats.elements import atomic_number
from deepdft.formats.faces import crop, describe_faces, find_repeated
from deepdft.formats.interpretation import UNITS, Interpretation, check_unit
from deepdft.formats.provenance import parse_description, strip_description
from deepdft.formats.quantities import recognise, require_density
from deepdft.formats.source import Source
from deepdft.formats.text.columns import spread
from deepdft.formats.text.reading import TextStream

PERIODIC = {"CRYSTAL": "TTT", "SLAB": "TTF", "POLYMER": "TFF", "MOLECULE": "FFF"}
"""Axes along which the structures with these headers are periodic."""

_BLOCK = re.compile(r"BEGIN_BLOCK_DATAGRID_?3D", re.IGNORECASE)
_GRID = re.compile(r"(?:BEGIN_)?DATAGRID_?3D_?(.*)", re.IGNORECASE)
_END_BLOCK = re.compile(r"END_BLOCK_DATAGRID_?3D", re.IGNORECASE)
_NUMBERS = re.compile(r"[+-]?[\d.]")
ATOMIC_UNITS = "atomic units"
"""How our files name the unit of what is no density."""
_UNIT = re.compile(rf",?\s*\b(e/bohr\^3|e/angstrom\^3|{ATOMIC_UNITS})")


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like an XSF file."""
    for line in head.split(b"\n"):
        words = line.split()
        if words and not words[0].startswith(b"#"):
            word = words[0].decode("latin-1").upper()
            return word in ("ATOMS", "ANIMSTEPS", *PERIODIC) or bool(_BLOCK.match(word))
    return False


@dataclass
class _Content:
    comment: str = ""
    pbc: str = "FFF"
    cell: FloatArray | None = None
    numbers: list[int] = field(default_factory=list)
    positions: list[list[float]] = field(default_factory=list)
    title: str = ""
    names: list[str] = field(default_factory=list)
    shape: tuple[int, int, int] | None = None
    origin: FloatArray = field(default_factory=lambda: np.zeros(3))
    span: FloatArray = field(default_factory=lambda: np.zeros((3, 3)))
    values: FloatArray | None = None
    unread: str | None = None


def read(
    source: Source,
    *,
    quantity: str | None = None,
    unit: str | None = None,
    datagrid: int = 0,
    repeated: bool | None = None,
) -> Density:
    """Read an XSF file.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        unit: "e/bohr^3" or "e/angstrom^3", instead of deciding by the electron count.
        datagrid: which of several grids to take, from 0.
        repeated: whether the last layers of a periodic grid repeat the first, instead of deciding
            by the values and the electron count.

    Raises:
        FileFormatError: if the file is not an XSF file, has no grid, or holds something else.
    """
    with source.open_text() as stream:
        content = _parse(stream, datagrid)
        if content.values is None or content.shape is None:
            raise stream.error(
                f"There is no datagrid {datagrid} of three dimensions; the file has "
                f"{len(content.names)}."
            )
    return _assemble(source, content, quantity, unit, repeated)


def _next(stream: TextStream, content: _Content) -> str | None:
    """Return the next line that says something; keep the first comment."""
    if content.unread is not None:
        line, content.unread = content.unread, None
        return line
    while (text := stream.next_line()) is not None:
        if text.lstrip().startswith("#"):
            content.comment = content.comment or text.strip().lstrip("#").strip()
        elif text.strip():
            return text.strip()
    return None


def _require(stream: TextStream, content: _Content, what: str) -> str:
    line = _next(stream, content)
    if line is None:
        raise stream.error(f"The file ends where {what} should be; it is truncated.")
    return line


def _parse(stream: TextStream, wanted: int) -> _Content:
    content = _Content()
    while content.values is None and (line := _next(stream, content)) is not None:
        word = line.split()[0].upper()
        if word in PERIODIC:
            content.pbc = PERIODIC[word]
        elif word == "PRIMVEC":
            content.cell = np.array([_vector(stream, content) for _ in range(3)])
        elif word == "PRIMCOORD":
            _parse_coordinates(stream, content)
        elif word == "ATOMS":
            _parse_atoms(stream, content)
        elif _BLOCK.match(word):
            content.title = _require(stream, content, "the name of the block")
        elif _GRID.match(word):
            _parse_grid(stream, content, line, wanted)
    return content


def _vector(stream: TextStream, content: _Content) -> list[float]:
    return stream.floats(_require(stream, content, "a vector"), 3, "a vector")


def _parse_coordinates(stream: TextStream, content: _Content) -> None:
    line = _require(stream, content, "the count of atoms")
    (count,) = stream.integers(line, 1, "the count of atoms")
    content.numbers, content.positions = [], []
    while len(content.numbers) < count:
        _add_atom(stream, content, _require(stream, content, "an atom"))


def _parse_atoms(stream: TextStream, content: _Content) -> None:
    """Read atoms up to the first line that is none; their count is not given."""
    content.numbers, content.positions = [], []
    while (line := _next(stream, content)) is not None:
        tokens = spread(line)
        if len(tokens) < 4 or atomic_number(tokens[0]) is None:
            content.unread = line
            return
        _add_atom(stream, content, line)


def _add_atom(stream: TextStream, content: _Content, line: str) -> None:
    name, *others = spread(line)
    number = atomic_number(name)
    if number is None:
        raise stream.error(f"There is no element {name[:20]!r}.", stream.line - 1)
    content.numbers.append(number)
    rest = " ".join(others)
    content.positions.append(stream.floats(rest, 3, "a position"))


def _parse_grid(stream: TextStream, content: _Content, line: str, wanted: int) -> None:
    match = _GRID.match(line)
    content.names.append(match[1].strip() if match else "")
    line = _require(stream, content, "three point counts")
    nx, ny, nz = stream.integers(line, 3, "three point counts")
    if min(nx, ny, nz) < 1:
        raise stream.error(f"Point counts {nx}, {ny}, {nz} make no grid.", stream.line - 1)
    content.origin = np.array(_vector(stream, content))
    content.span = np.array([_vector(stream, content) for _ in range(3)])
    values = stream.read_numbers(nx * ny * nz)
    rest = _next(stream, content)
    if rest is not None and _NUMBERS.match(rest):
        raise stream.error(
            f"More values follow than the ({nx}, {ny}, {nz}) grid has points; the header is wrong.",
            stream.line - 1,
        )
    content.unread = rest
    if len(content.names) - 1 == wanted:
        content.shape, content.values = (nx, ny, nz), values


def _assemble(
    source: Source,
    content: _Content,
    quantity: str | None,
    unit: str | None,
    repeated: bool | None,
) -> Density:
    assert content.shape is not None
    assert content.values is not None
    described = parse_description(content.comment)
    require_density(source.path, described.get("quantity"), quantity)
    words = " ".join((strip_description(content.comment), content.title, *content.names))
    declared = _UNIT.search(content.comment)
    named = declared[1].replace(ATOMIC_UNITS, "e/bohr^3") if declared else None
    comment = _UNIT.sub("", strip_description(content.comment))
    interpretation = Interpretation(
        path=source.path,
        quantity=recognise(source.path, quantity, words),
        unit=check_unit(unit) or named,
        pbc=None if "pbc" in described else [letter == "T" for letter in content.pbc],
        described=described,
        metadata={"comment": comment.strip()},
    )
    if len(content.names) > 1:
        interpretation.notes.append(f"The file has several grids; {content.names[-1]!r} was taken.")
    values = content.values.reshape(content.shape, order="F")
    grid, values = _grid(source, content, values, interpretation, repeated)
    atoms = Atoms(
        numbers=content.numbers,
        positions=np.array(content.positions).reshape(-1, 3),
        cell=content.cell,
    )
    return interpretation.density(atoms, grid, values)


def _grid(
    source: Source,
    content: _Content,
    values: FloatArray,
    interpretation: Interpretation,
    told: bool | None,
) -> tuple[Grid, FloatArray]:
    """Return the grid without repeated faces, and its values."""
    counts = np.array(values.shape)
    spans = content.span.copy()
    cell = content.cell
    asked: list[int] = []
    followers: list[int] = []
    whole: list[int] = []
    cells = 1.0
    if cell is not None:
        multiples = np.linalg.lstsq(cell.T, spans.T, rcond=None)[0].T
        for axis, count in enumerate(counts):
            if _close(spans[axis], cell[axis] * (count + 1) / count):
                spans[axis] = cell[axis]  # as ASE writes it
                whole.append(axis)
            elif _close(spans[axis], np.rint(multiples[axis]) @ cell):
                (asked if content.pbc[axis] == "T" else followers).append(axis)
        if len(asked) == 3:
            cells = max(1.0, abs(float(np.linalg.det(np.rint(multiples)))))

    def steps(repeated: tuple[int, ...]) -> FloatArray:
        """Return the edges of a voxel; axes that are not periodic go with the others."""
        divisor = np.maximum(1, counts - 1)
        for axis in {*whole, *asked, *([] if repeated or not asked else followers)} - {*repeated}:
            divisor[axis] = counts[axis]
        return np.array(spans / divisor[:, None])

    unit = interpretation.unit
    units = [UNITS[unit]] if unit else list(UNITS.values())
    faces = find_repeated(
        values,
        asked,
        content.numbers,
        lambda repeated: abs(float(np.linalg.det(steps(repeated)))) / cells,
        units if interpretation.quantity.is_density else [],
        usual=True,
        told=told,
    )
    interpretation.notes += [*faces.notes, *describe_faces(faces.repeated, usual=True, axes=asked)]
    kept = crop(values, faces.repeated)
    try:
        grid = Grid(
            steps(faces.repeated) * np.array(kept.shape)[:, None], kept.shape, content.origin
        )
        return grid, kept
    except ConfigurationError as error:
        raise ConfigurationError(f"{source.path}: {error}") from None


def _close(left: FloatArray, right: FloatArray) -> bool:
    return bool(np.abs(left - right).max() < 2e-6 + 1e-6 * np.abs(right).max())
