"""VASP's CHGCAR, CHG and the files of the same layout (AECCAR0/1/2, PARCHG, LOCPOT, ELFCAR).

Format: https://www.vasp.at/wiki/CHGCAR. A structure, then for each of one, two (spin-polarised) or
four (non-collinear) blocks: the point counts and the density times the volume of the cell, x
fastest; in a CHGCAR each block is followed by the one-centre (augmentation) occupancies and perhaps
by a line of moments, all of which are kept as text and written back unchanged.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.formats.electrons import ElectronCounts
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.poscar import Structure, read_structure
from deepdft.formats.provenance import parse_description, strip_description
from deepdft.formats.quantities import QUANTITIES, Quantity, find_quantity, refusal, require_density
from deepdft.formats.source import Source
from deepdft.formats.summary import Summary
from deepdft.formats.text.reading import TextStream
from deepdft.levels import LevelOfTheory
from deepdft.units import PER_CUBIC_BOHR

NO_OCCUPANCIES = "no augmentation occupancies"
"""What the comment of a CHGCAR without them says."""

UNITS = {"rho*V": None, "e/angstrom^3": 1.0, "e/bohr^3": PER_CUBIC_BOHR}
_NAMES = (
    (re.compile(r"locpot|potcar", re.IGNORECASE), "potential"),
    (re.compile(r"elfcar", re.IGNORECASE), "elf"),
    (re.compile(r"parchg", re.IGNORECASE), "partial-density"),
    (re.compile(r"chgdiff|chgcar_diff|diff[-_.]?chg", re.IGNORECASE), "difference-density"),
)
_HEADER_LINES = 9


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a structure in POSCAR layout."""
    lines = head.split(b"\n", _HEADER_LINES)
    if len(lines) < _HEADER_LINES:
        return False
    try:
        vectors = [[float(token) for token in line.split()] for line in lines[1:5]]
    except ValueError:
        return False
    return len(vectors[0]) in (1, 3) and all(len(vector) == 3 for vector in vectors[1:])


@dataclass
class _Image:
    structure: Structure
    shape: tuple[int, int, int]
    blocks: list[NDArray[np.float64]] = field(default_factory=list)
    summaries: list[Summary] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


def read(
    source: Source,
    *,
    quantity: str | None = None,
    species: list[str] | None = None,
    image: int = -1,
    unit: str = "rho*V",
) -> Density:
    """Read a file of the CHGCAR layout.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        species: elements, one a count, for a file of VASP 4 that does not name them.
        image: which of several structures in one file (a CHG of a relaxation); -1 is the last.
        unit: "rho*V"; or "e/angstrom^3" or "e/bohr^3" for files of programs that do not multiply
            by the volume.

    Raises:
        FileFormatError: if the file is not of this layout, is damaged, or holds something else.
    """
    kind = _recognise(source, quantity)
    if unit not in UNITS:
        raise ConfigurationError(f"There is no unit '{unit}' (known: {', '.join(UNITS)}).")
    notes: list[str] = []
    if not kind.is_density:
        factor: float | None = 1.0
    else:
        factor = UNITS[unit]
    with source.open_text() as stream:
        found = _read_images(stream, species, image, notes, factor)
    return _assemble(source, found, kind, quantity, notes)


def read_preview(source: Source, *, species: list[str] | None = None, **_: Any) -> Atoms:
    """Return the (first) structure of a file, without the values; see `deepdft.formats`."""
    with source.open_text() as stream:
        return read_structure(stream, species).atoms


def _recognise(source: Source, asked: str | None) -> Quantity:
    if asked is not None:
        return find_quantity(asked)
    for pattern, name in _NAMES:
        if pattern.search(source.name):
            raise refusal(source.path, name, f"its name is {source.name}")
    return QUANTITIES["density"]


def _read_images(
    stream: TextStream,
    species: list[str] | None,
    wanted: int,
    notes: list[str],
    factor: float | None,
) -> _Image:
    """Read structure after structure until the wanted one; see `_read_image`."""
    index = 0
    structure = read_structure(stream, species)
    while True:
        image, more = _read_image(stream, structure, factor)
        if not more or index == wanted:
            break
        try:
            structure = read_structure(stream, species)
        except FileFormatError as error:
            notes.append(f"Text behind the density was ignored ({error})")
            break
        index += 1
    if wanted not in (-1, index):
        raise stream.error(f"There is no image {wanted}; the last one is {index}.")
    if index > 0:
        notes.append(f"The file holds several structures; number {index} (from 0) was taken.")
    return image


def _read_image(
    stream: TextStream, structure: Structure, factor: float | None
) -> tuple[_Image, bool]:
    """Read the blocks of one structure; also return whether something else follows them.

    Values are multiplied by `factor`, or divided by the volume of the cell if it is None.
    """
    line = stream.read_line("the point counts")
    while not line.strip():
        line = stream.read_line("the point counts")
    counts = stream.integers(line, 3, "three point counts")
    shape = (counts[0], counts[1], counts[2])
    grid = stream.make_grid(np.asarray(structure.atoms.cell), shape)
    image = _Image(structure, shape)
    following = "block"
    while following == "block":
        if len(image.blocks) == 4:
            raise stream.error("There are more than four density blocks.", stream.line - 1)
        values, summary = stream.read_summarised(grid.n_points, factor or 1.0 / grid.volume)
        image.blocks.append(values)
        image.summaries.append(summary)
        text, following = _read_text(stream, shape, len(structure.atoms))
        image.texts.append(text)
    if len(image.blocks) == 3:
        raise stream.error("There are three density blocks; one, two or four make sense.")
    return image, following == "structure"


def _read_text(stream: TextStream, shape: tuple[int, int, int], n_atoms: int) -> tuple[str, str]:
    """Read occupancies and moments up to the next block, structure or the end of the file.

    Returns:
        (text, what follows: "block", "structure" or "end").
    """
    lines: list[str] = []
    stray = 0
    in_occupancies = False
    line = stream.next_line()  # what is left behind the last value: blanks, or numbers that pad
    while True:
        if line is None:
            return _joined(lines), "end"
        tokens = line.split()
        if len(tokens) == 3 and tuple(tokens) == tuple(map(str, shape)):
            return _joined(lines), "block"
        if line.lstrip().startswith("augmentation"):
            in_occupancies = True
        elif tokens and tokens[0][0] not in "+-.0123456789*N":
            stream.push_back()
            return _joined(lines), "structure"
        elif not in_occupancies:
            stray += len(tokens)
            # Moments are one to four numbers an atom; the last line may be padded with zeros.
            if stray > 4 * n_atoms + 4:
                raise stream.error(
                    f"More values follow than the {shape} grid has points; the header is wrong."
                )
        lines.append(line)
        line = stream.next_line()


def _joined(lines: list[str]) -> str:
    if lines and not lines[0].strip():
        del lines[0]  # the end of the last line of values
    text = "\n".join(lines)
    return text + "\n" if text.strip() else ""


def _assemble(
    source: Source, image: _Image, kind: Quantity, asked: str | None, notes: list[str]
) -> Density:
    atoms = image.structure.atoms
    described = parse_description(image.structure.comment)
    require_density(source.path, described.get("quantity"), asked)
    origin = described.get("origin", np.zeros(3))
    grid = Grid(np.asarray(atoms.cell), image.shape, origin)
    atoms.positions += origin
    arrays = [block.reshape(image.shape, order="F") for block in image.blocks]
    summary = image.summaries[0]
    electrons = summary.total * grid.voxel_volume
    if asked is None and summary.smallest >= 0 and summary.largest * grid.volume <= 1:
        raise refusal(
            source.path,
            "elf",
            f"all values lie between 0 and 1, so that rho V gives {electrons:.4f} electrons",
        )
    comment = strip_description(image.structure.comment).removesuffix(NO_OCCUPANCIES)
    metadata: dict[str, Any] = {"comment": comment.strip("; ")}
    occupied = any("augmentation" in text for text in image.texts)
    if any(image.texts):
        metadata["augmentation"] = image.texts
    if image.structure.selective_dynamics:
        metadata["selective_dynamics"] = image.structure.selective_dynamics
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/angstrom^3",
        pbc=None if "pbc" in described else True,
        described=described,
        level=LevelOfTheory(core="PAW", code="VASP") if occupied else LevelOfTheory(),
        metadata=metadata,
        notes=notes,
    )
    _note_unit(interpretation, atoms, grid, electrons)
    spin = None
    if len(arrays) == 2:
        spin = arrays[1]
    elif len(arrays) == 4:
        spin = np.stack(arrays[1:])
    return interpretation.density(atoms, grid, arrays[0], spin, summary)


def _note_unit(interpretation: Interpretation, atoms: Atoms, grid: Grid, electrons: float) -> None:
    """Say so if the values look like rho and not like rho V."""
    counts = ElectronCounts.of(atoms.numbers)
    if counts.allow(electrons) or not counts.allow(electrons * grid.volume):
        return
    interpretation.notes.append(
        f"Warning: as rho V the values give {electrons:.4g} electrons, as rho in e/Å^3 they would "
        f"give {electrons * grid.volume:.4f}; pass unit='e/angstrom^3' if that is what they are."
    )
