"""Gaussian cube files.

Format: https://gaussian.com/cubegen (two comment lines; atom count and origin; three lines of point
count and voxel edge; one line an atom; the values, z fastest). Conventions:

- Lengths are bohr. Negative point counts mean that the header is in Å.
- Values are e/bohr^3 under either header, as Gaussian writes them. Some programs write e/Å^3 under
  an Å header; there the electron count decides, and a note says so.
- A negative atom count, and in some programs a positive one, is followed by a list of orbitals.
- The first line of a file may give a fifth number, the count of values a voxel.
- Voxel (i, j, k) stands for the point origin + i a + j b + k c; the far faces are not repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.elements import is_centre
from deepdft.formats.faces import crop, describe_faces, find_repeated
from deepdft.formats.interpretation import UNITS, Interpretation, atomic_unit_of, check_unit
from deepdft.formats.provenance import describe, parse_description, strip_description
from deepdft.formats.quantities import QUANTITIES, recognise, refusal, require_density
from deepdft.formats.slab_writer import FileSlabWriter, write_density
from deepdft.formats.source import Source
from deepdft.formats.text.decimal_writer import NumberLayout, NumberWriter
from deepdft.formats.text.reading import TextStream
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR, PER_CUBIC_BOHR

TITLE = "electron density, e/bohr^3"
SPIN_TITLE = "electron density and spin density, e/bohr^3"
_WITH_SPIN = " and spin density"
"""Behind the name of another quantity, where its spin density follows it."""


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a cube file."""
    lines = head.split(b"\n", 6)
    if len(lines) < 6:
        return False
    return all(_is_count_and_vector(line.split()) for line in lines[2:6])


def _is_count_and_vector(tokens: list[bytes]) -> bool:
    try:
        int(tokens[0])
        return len([float(token) for token in tokens[1:4]]) == 3 and len(tokens) <= 5
    except (ValueError, IndexError):
        return False


@dataclass
class _Header:
    comments: tuple[str, str]
    atoms: Atoms
    charges: NDArray[np.float64]
    grid: Grid
    per_voxel: int
    orbitals: list[int]
    in_angstrom: bool


def _read_header(stream: TextStream) -> _Header:
    comments = (stream.read_line("the first comment"), stream.read_line("the second comment"))
    line = stream.read_line("the atom count and the origin")
    (count,) = stream.integers(line, 1, "an atom count")
    origin = np.array(stream.floats(line, 4, "an atom count and an origin")[1:])
    per_voxel = 1
    if len(line.split()) > 4:
        per_voxel = stream.integers(" ".join(line.split()[4:]), 1, "a count of values a voxel")[0]
    shape, voxel = [], []
    for _ in range(3):
        line = stream.read_line("a point count and a voxel edge")
        shape.append(stream.integers(line, 1, "a point count")[0])
        voxel.append(stream.floats(line, 4, "a point count and a voxel edge")[1:])
    if per_voxel < 1 or 0 in shape or len({n > 0 for n in shape}) > 1:
        raise stream.error(f"Point counts {shape} with {per_voxel} values a voxel make no grid.")
    unit = 1.0 if shape[0] < 0 else BOHR
    counts = np.abs(np.array(shape, dtype=object))
    cell = np.array(voxel) * counts.astype(np.float64)[:, None] * unit
    grid = stream.make_grid(cell, (counts[0], counts[1], counts[2]), origin * unit)
    atoms, charges = _read_atoms(stream, abs(count), unit)
    orbitals = _read_orbitals(stream, count < 0)
    if count < 0 and per_voxel == 1:
        per_voxel = max(1, len(orbitals))
    return _Header(comments, atoms, charges, grid, per_voxel, orbitals, shape[0] < 0)


def _read_atoms(stream: TextStream, count: int, unit: float) -> tuple[Atoms, NDArray[np.float64]]:
    rows: list[list[float]] = []
    while len(rows) < count:
        line = stream.read_line(f"atom {len(rows) + 1} of {count}")
        rows.append(stream.floats(line, 5, "an atomic number, a charge and a position"))
        if not is_centre(rows[-1][0]):
            raise stream.error(f"There is no element {rows[-1][0]:g}.", stream.line - 1)
    table = np.array(rows).reshape(-1, 5)
    return Atoms(numbers=table[:, 0].astype(int), positions=table[:, 2:] * unit), table[:, 1]


def _read_orbitals(stream: TextStream, announced: bool) -> list[int]:
    """Read the orbital list: a count, then that many numbers, over several lines if need be.

    Some programs write one line of it though the atom count is positive; values never look like it,
    because they are no integers.
    """
    line = stream.next_line() or ""
    tokens = line.split()
    if not announced:
        if (
            len(tokens) > 1
            and all(_is_count(token) for token in tokens)
            and (int(tokens[0]) == len(tokens) - 1)
        ):
            return [int(token) for token in tokens[1:]]
        if line:
            stream.push_back()
        return []
    numbers = stream.integers(line, len(tokens) or 1, "a list of orbitals")
    while len(numbers) - 1 < numbers[0]:
        line = stream.read_line("the rest of the list of orbitals")
        numbers += stream.integers(line, len(line.split()) or 1, "a list of orbitals")
    return numbers[1:]


def _is_count(token: str) -> bool:
    return token.isascii() and token.isdecimal() and len(token) < 10


def read(
    source: Source,
    *,
    quantity: str | None = None,
    component: int | None = None,
    unit: str | None = None,
    pbc: bool | None = None,
    repeated: bool | None = None,
) -> Density:
    """Read a cube file.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        component: which of several values a voxel to take, from 0.
        unit: "e/bohr^3" or "e/angstrom^3", instead of the convention above.
        pbc: whether the structure is periodic, which a cube file does not say.
        repeated: whether the last layers of a periodic grid repeat the first, instead of deciding
            by the values and the electron count.

    Raises:
        FileFormatError: if the file is not a cube file, is damaged, or holds something else.
    """
    with source.open_text() as stream:
        header = _read_header(stream)
        interpretation = _interpret(source, header, quantity, unit, pbc)
        factor = 1.0
        if interpretation.quantity.is_density and interpretation.unit is not None:
            factor, interpretation.unit = UNITS[interpretation.unit], "e/angstrom^3"
        numbers = stream.read_numbers(header.grid.n_points * header.per_voxel, factor)
        _require_end(stream, header)
    values = numbers.reshape(*header.grid.shape, header.per_voxel)
    spin = None
    if header.per_voxel > 1 and component is None and _says_spin(_title(header)):
        spin = np.ascontiguousarray(np.moveaxis(values[..., 1:], -1, 0))
        spin = spin[0] if len(spin) == 1 else spin
    elif header.per_voxel > 1 and component is None:
        interpretation.notes.append(
            f"The file has {header.per_voxel} values a voxel; the first was taken."
        )
    if not 0 <= (component or 0) < header.per_voxel:
        raise ConfigurationError(
            f"{source.path} has {header.per_voxel} values a voxel, so there is no component "
            f"{component}."
        )
    # Of several values a voxel, those that were asked for are kept alone.
    chosen = np.ascontiguousarray(values[..., component or 0])
    if "pbc" not in interpretation.described and pbc is not False:
        axes = _repeated_faces(header, chosen, interpretation, repeated)
        grid = _without(header.grid, axes)
        chosen = np.ascontiguousarray(crop(chosen, axes))
        spin = None if spin is None else np.ascontiguousarray(crop(spin, axes))
        return interpretation.density(header.atoms, grid, chosen, spin)
    return interpretation.density(header.atoms, header.grid, chosen, spin)


def read_preview(source: Source, **_: Any) -> Atoms:
    """Return the atoms of a file, without the values; see `deepdft.formats.read_preview`."""
    with source.open_text() as stream:
        return _read_header(stream).atoms


def _repeated_faces(
    header: _Header,
    values: NDArray[np.float64],
    interpretation: Interpretation,
    told: bool | None,
) -> tuple[int, ...]:
    """Return the axes whose last layer repeats the first, against the convention."""
    unit = interpretation.unit
    units = [UNITS[unit]] if unit else list(UNITS.values())
    faces = find_repeated(
        values,
        range(3),
        header.atoms.numbers,
        lambda _: header.grid.voxel_volume,
        units if interpretation.quantity.is_density else [],
        usual=False,
        told=told,
    )
    described = describe_faces(faces.repeated, usual=False, axes=range(3))
    interpretation.notes += [*faces.notes, *described]
    return faces.repeated


def _without(grid: Grid, axes: tuple[int, ...]) -> Grid:
    """Return a grid without its last layers along some axes."""
    shape = [n - (axis in axes) for axis, n in enumerate(grid.shape)]
    return Grid(grid.voxel * np.array(shape)[:, None], (shape[0], shape[1], shape[2]), grid.origin)


def _title(header: _Header) -> str:
    return strip_description(header.comments[1]).strip()


def _says_spin(title: str) -> bool:
    return title == SPIN_TITLE or title.removesuffix(_WITH_SPIN) in QUANTITIES.keys() - {title}


def _interpret(
    source: Source, header: _Header, quantity: str | None, unit: str | None, pbc: bool | None
) -> Interpretation:
    if header.orbitals and quantity is None:
        raise refusal(source.path, "orbital", f"it lists orbitals {header.orbitals[:5]}")
    ours = _title(header) in (TITLE, SPIN_TITLE)
    named = _title(header).removesuffix(_WITH_SPIN)
    require_density(source.path, named, quantity)
    return Interpretation(
        path=source.path,
        quantity=recognise(source.path, quantity, TITLE if ours else " ".join(header.comments)),
        unit=check_unit(unit) or (None if header.in_angstrom else "e/bohr^3"),
        pbc=pbc,
        described=parse_description(header.comments[1]),
        metadata={"comment": header.comments[0].strip()},
    )


def _require_end(stream: TextStream, header: _Header) -> None:
    """Raise if numbers are left over: then the header is wrong, and so would be the density."""
    line = ""
    for _ in range(3):
        line = stream.next_line() or ""
        if line.strip():
            break
    try:
        stream.floats(line, 1, "a number")
    except FileFormatError:
        return  # nothing, or words, which do no harm
    raise stream.error(
        f"More values follow than {header.grid.shape} points with {header.per_voxel} values each; "
        "the header is wrong."
    )


class CubeWriter(FileSlabWriter):
    """Writes a cube file slab by slab along its first axis."""

    axis = 0

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
        digits: int = 6,
        title: str = TITLE,
        per_voxel: int = 1,
        factor: float = 1.0 / PER_CUBIC_BOHR,
    ) -> None:
        """See `deepdft.formats.open_writer`; `digits` is the count of significant digits."""
        super().__init__(path, grid)
        self._atoms = atoms
        self._level = level or LevelOfTheory()
        self._comment = comment
        self._title = title
        self._per_voxel = per_voxel
        self._factor = factor
        row = grid.shape[2] * per_voxel
        self._layout = NumberLayout(digits, digits + 7, columns=6, row=row)

    def _write_header(self, file: BinaryIO) -> None:
        grid, atoms = self.grid, self._atoms
        first = " ".join(self._comment.split()) or str(atoms.symbols)
        lines = [first, describe(self._level, self._title, atoms, grid)]
        lines.append(
            _line(len(atoms), grid.origin / BOHR)
            + (f"{self._per_voxel:5d}" if self._per_voxel > 1 else "")
        )
        lines += [_line(n, edge / BOHR) for n, edge in zip(grid.shape, grid.voxel, strict=True)]
        for number, position in zip(atoms.numbers, atoms.positions / BOHR, strict=True):
            lines.append(_line(number, [float(number), *position]))
        file.write(("\n".join(lines) + "\n").encode())
        self._numbers = NumberWriter(file, self._layout, self._factor)

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        for layer in values:
            self._numbers.write(layer.reshape(-1))

    def write_voxels(self, channels: Sequence[NDArray[np.floating[Any]]]) -> None:
        """Write the values of a grid with several values a voxel, each channel (nx, ny, nz)."""
        for index in range(self.grid.shape[0]):
            self._numbers.write(
                np.stack([channel[index] for channel in channels], axis=-1).reshape(-1)
            )
        self._layers = self.grid.shape[0]


def _line(count: int, numbers: Iterable[float]) -> str:
    return f"{count:5d}" + "".join(_field(number) for number in numbers)


def _field(number: float) -> str:
    """Print into twelve columns, blank included, with as many decimals as fit.

    Fits the fixed format I5,4F12.6 of older readers; up to 1000 bohr it has no fewer decimals.
    """
    decimals = min(8, 9 - len(f"{abs(number):.0f}"))
    return f" {number:11.{decimals}f}" if decimals >= 5 else f" {number:18.8f}"


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> CubeWriter:
    """Return a writer of a cube file; see `CubeWriter` for the options."""
    return CubeWriter(path, atoms, grid, **options)


def write(
    path: str | Path, density: Density, *, digits: int = 6, comment: str | None = None
) -> None:
    """Write a density as a cube file; a spin density becomes further values of each voxel."""
    options: dict[str, Any] = {"level": density.level, "digits": digits}
    options["comment"] = density.metadata.get("comment", "") if comment is None else comment
    options["factor"] = 1.0 / atomic_unit_of(density)
    if "quantity" in density.metadata:
        options["title"] = density.metadata["quantity"]
    if density.spin is None:
        write_density(CubeWriter(path, density.atoms, density.grid, **options), density)
        return
    spin = density.spin if density.spin.ndim == 4 else density.spin[None]
    channels = [density.values, *spin]
    title = f"{options['title']}{_WITH_SPIN}" if "title" in options else SPIN_TITLE
    options.update(title=title, per_voxel=len(channels))
    with CubeWriter(path, density.atoms, density.grid, **options) as writer:
        writer.write_voxels(channels)
