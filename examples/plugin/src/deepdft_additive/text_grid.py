"""A density file that an editor can open: a line of JSON, then one value a line, in e/Å^3."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms

from deepdft.arrays import Array
from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats.registry import Format
from deepdft.formats.slab_writer import FileSlabWriter, write_density
from deepdft.formats.source import Source
from deepdft.levels import LevelOfTheory

_MARK = '{"text grid": 1, '
_LONGEST = 1 << 20
"""Bytes of the first line that are looked at."""

FORMAT = Format(
    name="text-grid",
    title="Text grid",
    pattern=re.compile(r"\.textgrid$", re.IGNORECASE),
    module="deepdft_additive.text_grid",
    writer="deepdft_additive.text_grid",
    spin="no",
    cells="any, with origin",
    oracle="what was written",
)


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like this format."""
    return head.startswith(_MARK.encode())


def read(source: Source) -> Density:
    """Read a density.

    Raises:
        FileFormatError: if the file is damaged.
    """
    with source.open_text() as text:
        try:
            about = json.loads(text.read_line("a line of JSON")[:_LONGEST])
            cell, origin = (np.array(about[name], dtype=float) for name in ("cell", "origin"))
            grid = Grid(cell, tuple(int(count) for count in about["shape"]), origin)
            atoms = Atoms(**about["atoms"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{source.path}: the first line is damaged: {error}.") from None
        count = int(np.prod(grid.shape))
        values = text.read_numbers(count).reshape(grid.shape)
    return Density(atoms, grid, values, level=LevelOfTheory.from_dict(about["level"]))


class TextGridWriter(FileSlabWriter):
    """Writes a text grid layer by layer along the first axis."""

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
    ) -> None:
        super().__init__(path, grid)
        self._about = {
            "cell": np.asarray(grid.cell).tolist(),
            "shape": list(grid.shape),
            "origin": np.asarray(grid.origin).tolist(),
            "level": (level or LevelOfTheory()).to_dict(),
            "atoms": {
                "numbers": atoms.numbers.tolist(),
                "positions": atoms.positions.tolist(),
                "cell": np.asarray(atoms.cell).tolist(),
                "pbc": atoms.pbc.tolist(),
            },
            "comment": comment,
        }

    def _write_header(self, file: BinaryIO) -> None:
        file.write((_MARK + json.dumps(self._about)[1:] + "\n").encode())

    def _write_layers(self, values: Array) -> None:
        np.savetxt(self._file, np.asarray(values).reshape(-1), "%.9e")


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> TextGridWriter:
    """Return a writer; see `deepdft.formats.open_writer`."""
    return TextGridWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density) -> None:
    """Write a density."""
    write_density(open_writer(path, density.atoms, density.grid, level=density.level), density)
