"""Density files: `read` and `write` find the format by the name, and by content where it is silent.

Any format may be compressed (.gz, .bz2, .xz, .zst, .lz4, .zz). Units are converted here and
nowhere else: what comes out is Å and e/Å^3.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.formats.pymatgen_objects import from_pymatgen, to_pymatgen
from deepdft.levels import LevelOfTheory

if TYPE_CHECKING:
    from deepdft.formats.slab_writer import SlabWriter

__all__ = [
    "from_pymatgen",
    "open_writer",
    "read",
    "read_preview",
    "read_with_notes",
    "to_pymatgen",
    "write",
]


def read(path: str | Path, **options: Any) -> Density:
    """Read an electron density.

    What the file could not tell and was assumed is listed in ``metadata["notes"]``.

    >>> import numpy as np
    >>> grid = Grid(3.0 * np.eye(3), (6, 6, 6))
    >>> write("lithium.CHGCAR", Density(Atoms("Li"), grid, np.full(grid.shape, 1 / 9)))
    >>> density = read("lithium.CHGCAR")
    >>> density.atoms.get_chemical_formula(), density.grid.shape, round(density.n_electrons, 6)
    ('Li', (6, 6, 6), 3.0)

    Args:
        path: the file.
        format: name of the format, instead of finding it by the file's name and content.
        options: of the format's reader, for example `quantity` or `unit`.

    Returns:
        The density in e/Å^3 (VASP's files give Fortran-ordered arrays).

    Raises:
        FileFormatError: if the file is missing, damaged, of unknown format or not a density.
        ConfigurationError: for an option that the format does not have.
        MissingDependencyError: if the format or its compression needs a package that is missing.
    """
    from deepdft.formats.registry import check_options, find_format, format_to_read
    from deepdft.formats.source import find_source

    source = find_source(path)
    wanted = options.pop("format", None)
    entry = find_format(wanted) if wanted else format_to_read(source)
    reader = entry.function("read")
    check_options(reader, options, f"Reading {entry.title} files")
    density: Density = reader(source, **options)
    return density


def read_with_notes(path: str | Path, **options: Any) -> tuple[Density, list[str]]:
    """Read an electron density, and what was assumed in doing so, one line each; see `read`."""
    density = read(path, **options)
    return density, list(density.metadata.get("notes", []))


def read_preview(path: str | Path, **options: Any) -> Atoms:
    """Read what a density file tells of its structure before the values begin.

    Elements and initial moments are those of the density. Positions, cell and periodicity may not
    be, where it takes the values to know them. Formats that tell nothing so soon are read whole.

    Args:
        path: the file.
        format: name of the format, instead of finding it by the file's name and content.
        options: of the format's reader.

    Raises:
        DeepDFTError: as `read`, for what is found out so soon.
    """
    from deepdft.formats.registry import find_format, format_to_read
    from deepdft.formats.source import find_source

    source = find_source(path)
    wanted = options.get("format")
    entry = find_format(wanted) if wanted else format_to_read(source)
    if not entry.has_preview:
        return read(path, **options).atoms
    preview: Atoms = entry.function("read_preview")(source, **options)
    return preview


def write(path: str | Path, density: Density, **options: Any) -> None:
    """Write a density; the format follows from the name of the file.

    The file appears whole or not at all.

    >>> import numpy as np
    >>> grid = Grid.around(Atoms("He"), spacing=0.5, vacuum=2.0)
    >>> write("helium.cube.gz", Density(Atoms("He"), grid, np.zeros(grid.shape)))
    >>> write("helium.txt", read("helium.cube.gz"), format="cube")

    Args:
        path: the file.
        density: what to write.
        format: name of the format, instead of the one that the file's name asks for.
        options: of the format's writer, for example `comment`.

    Raises:
        ConfigurationError: if the name tells no format, the format cannot hold the density, or
            the place cannot be written to.
    """
    from deepdft.formats.registry import check_options, find_format, format_to_write

    wanted = options.pop("format", None)
    entry = find_format(wanted) if wanted else format_to_write(path)
    writer = entry.function("write")
    check_options(writer, options, f"Writing {entry.title} files")
    writer(path, density, **options)


def open_writer(
    path: str | Path,
    atoms: Atoms,
    grid: Grid,
    *,
    level: LevelOfTheory | None = None,
    comment: str = "",
    **options: Any,
) -> SlabWriter:
    """Return a context manager that writes a density slab by slab, in memory of the slab's size.

    ::

        with open_writer("rho.cube", atoms, grid) as writer:
            for start, stop in grid.slabs(writer.axis, 100_000):
                writer.write_slab(values_of_layers(start, stop))

    Args:
        path: the file; its name tells the format.
        atoms: the structure.
        grid: the points.
        level: level of theory, written where the format has a place.
        comment: words for the format's comment.
        format: name of the format, instead of the one that the file's name asks for.
        options: of the format's writer.

    Raises:
        ConfigurationError: as for `write`.
    """
    from deepdft.formats.registry import find_format, format_to_write

    wanted = options.pop("format", None)
    entry = find_format(wanted) if wanted else format_to_write(path)
    opener = entry.function("open_writer")
    writer: SlabWriter = opener(path, atoms, grid, level=level, comment=comment, **options)
    return writer
