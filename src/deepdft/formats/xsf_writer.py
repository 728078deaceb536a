"""Writing XCrySDen's XSF files; see `deepdft.formats.xsf`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.formats.provenance import describe
from deepdft.formats.quantities import QUANTITIES
from deepdft.formats.slab_writer import FileSlabWriter, write_density
from deepdft.formats.text.decimal_writer import NumberLayout, NumberWriter
from deepdft.formats.xsf import ATOMIC_UNITS
from deepdft.levels import LevelOfTheory


class XsfWriter(FileSlabWriter):
    """Writes an XSF file slab by slab along its last axis, values in e/bohr^3
    (or, of other quantities, in atomic units).

    Along the periodic axes that the grid spans, the far face is repeated, as the format demands.
    """

    axis = 2

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
        digits: int = 9,
        quantity: str = "density",
    ) -> None:
        """See `deepdft.formats.open_writer`; `digits` is the count of significant digits."""
        super().__init__(path, grid)
        cell = np.asarray(atoms.cell)
        self._repeat = [
            bool(periodic) and np.allclose(cell[axis], grid.cell[axis], rtol=0, atol=1e-6)
            for axis, periodic in enumerate(atoms.pbc)
        ]
        self._atoms = atoms
        self._level = level or LevelOfTheory()
        self._comment = comment
        self._quantity = quantity
        kind = QUANTITIES.get(quantity, QUANTITIES["density"])
        self._factor = 1.0 / kind.atomic_unit
        self._unit = "e/bohr^3" if kind.is_density else ATOMIC_UNITS
        self._layout = NumberLayout(digits, digits + 7, columns=5)
        self._first: NDArray[np.floating[Any]] | None = None

    def _write_header(self, file: BinaryIO) -> None:
        atoms, grid = self._atoms, self.grid
        words = " ".join(self._comment.split()) or str(atoms.symbols)
        words = f"{words}, {self._unit}"
        lines = ["# " + describe(self._level, words, atoms, grid, quantity=self._quantity)]
        rows = [
            f"{number:4d}" + _vector(position)
            for number, position in zip(atoms.numbers, atoms.positions, strict=True)
        ]
        if atoms.pbc.any():
            lines += ["CRYSTAL", "PRIMVEC", *(_vector(vector) for vector in np.asarray(atoms.cell))]
            lines += ["PRIMCOORD", f"{len(atoms):6d} 1", *rows]
        else:
            lines += ["ATOMS", *rows]
        shape = np.array(grid.shape) + self._repeat
        if shape.min() < 2:
            raise ConfigurationError(
                f"{self.path}: an XSF grid needs two points along each axis that is not periodic."
            )
        lines += ["BEGIN_BLOCK_DATAGRID_3D", "  electron_density", "  BEGIN_DATAGRID_3D_density"]
        lines.append("".join(f"{n:7d}" for n in shape))
        lines.append(_vector(grid.origin))
        lines += [_vector(step * (n - 1)) for step, n in zip(grid.voxel, shape, strict=True)]
        file.write(("\n".join(lines) + "\n").encode())
        self._numbers = NumberWriter(file, self._layout, self._factor)

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        if self._first is None and values.shape[2] > 0:
            self._first = values[:, :, 0].copy()
        for index in range(values.shape[2]):
            self._write_layer(values[:, :, index])

    def _write_layer(self, layer: NDArray[np.floating[Any]]) -> None:
        wrap = [(0, int(repeat)) for repeat in self._repeat[:2]]
        self._numbers.write(np.pad(layer, wrap, mode="wrap").reshape(-1, order="F"))

    def _write_footer(self, file: BinaryIO) -> None:
        if self._repeat[2] and self._first is not None:
            self._write_layer(self._first)
        self._numbers.finish()
        file.write(b"  END_DATAGRID_3D\nEND_BLOCK_DATAGRID_3D\n")


def _vector(numbers: Any) -> str:
    return "".join(f" {number:20.14f}" for number in numbers)


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> XsfWriter:
    """Return a writer of an XSF file; see `XsfWriter` for the options."""
    return XsfWriter(path, atoms, grid, **options)


def write(
    path: str | Path, density: Density, *, digits: int = 9, comment: str | None = None
) -> None:
    """Write a density as an XSF file; a spin density has no place in it.

    Raises:
        ConfigurationError: if there is a spin density, which would be lost.
    """
    if density.spin is not None:
        raise ConfigurationError(
            f"{path}: an XSF file has no place for the spin density; write a cube, CHGCAR or npz."
        )
    known = density.metadata.get("comment", "") if comment is None else comment
    quantity = density.metadata.get("quantity", "density")
    options: dict[str, Any] = {"digits": digits, "comment": known, "quantity": quantity}
    writer = XsfWriter(path, density.atoms, density.grid, level=density.level, **options)
    write_density(writer, density)
