"""Writing VASP's CHGCAR and CHG layout; see `deepdft.formats.vasp`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.formats.poscar import Structure, format_structure
from deepdft.formats.provenance import describe
from deepdft.formats.quantities import QUANTITIES
from deepdft.formats.slab_writer import SLAB_POINTS, FileSlabWriter, take_layers
from deepdft.formats.text.decimal_writer import NumberLayout, NumberWriter
from deepdft.formats.vasp import NO_OCCUPANCIES
from deepdft.levels import LevelOfTheory

CHGCAR_LAYOUT = NumberLayout(digits=11, width=18, columns=5, fortran=True)
_CHG = re.compile(r"(^|[._\s-])chg([._\s-]|$)", re.IGNORECASE)
CHG_LAYOUT = NumberLayout(digits=5, width=12, columns=10, fortran=True)


class VaspWriter(FileSlabWriter):
    """Writes a CHGCAR slab by slab along its last axis.

    The layout has no origin: a structure in a box that begins elsewhere is shifted to (0, 0, 0),
    and the comment says by how much. VASP stops at left-handed cells: of those the first two axes
    are exchanged, values and all, and the comment says so.
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
        layout: NumberLayout = CHGCAR_LAYOUT,
        augmentation: Sequence[str] = (),
        selective_dynamics: Sequence[str] = (),
        quantity: str = "density",
    ) -> None:
        """See `deepdft.formats.open_writer`; the other options are what `read` keeps as
        metadata."""
        super().__init__(path, grid)
        if len(atoms) == 0:
            raise ConfigurationError(f"{path}: a CHGCAR needs at least one atom.")
        cell = np.asarray(atoms.cell)
        if any(
            periodic and not np.allclose(cell[axis], grid.cell[axis], rtol=0, atol=1e-6)
            for axis, periodic in enumerate(atoms.pbc)
        ):
            raise ConfigurationError(
                f"{path}: a CHGCAR holds the density of a whole periodic cell, but the grid does "
                "not span that of the structure; write a cube or npz file."
            )
        self._turned = bool(np.linalg.det(grid.cell) < 0)
        self._written = grid
        flags = list(selective_dynamics)
        if self._turned:
            atoms, self._written = _exchanged(atoms), _exchanged_grid(grid)
            flags = [" ".join([*flag.split()[1::-1], *flag.split()[2:]]) for flag in flags]
        self._atoms = atoms
        self._level = level or LevelOfTheory()
        self._comment = comment
        self._layout = layout
        self._augmentation = list(augmentation)
        self._quantity = quantity
        kind = QUANTITIES.get(quantity, QUANTITIES["density"])
        self._factor = grid.volume if kind.is_density else 1.0
        boxed = Atoms(
            numbers=atoms.numbers,
            positions=atoms.positions - grid.origin,
            cell=self._written.cell,
            pbc=atoms.pbc,
        )
        self._structure = Structure("", boxed, flags)

    def _write_header(self, file: BinaryIO) -> None:
        atoms = self._structure.atoms
        words = " ".join(self._comment.split()) or str(atoms.symbols)
        if not any("augmentation" in text for text in self._augmentation):
            words = f"{words}; {NO_OCCUPANCIES}"
        if self._turned:
            words = f"{words}; a and b exchanged: the cell was left-handed"
        periodic = bool(atoms.pbc.all()) and not self.grid.origin.any()  # as a reader assumes
        grid = None if periodic else self._written
        self._structure.comment = describe(
            self._level, words, self._atoms, grid, with_origin=True, quantity=self._quantity
        )
        file.write(format_structure(self._structure).encode())
        file.write(b"\n")
        self._begin_block(file)

    def _begin_block(self, file: BinaryIO) -> None:
        file.write("".join(f" {n:4d}" for n in self._written.shape).encode() + b"\n")
        self._numbers = NumberWriter(file, self._layout, self._factor)
        self._blocks = getattr(self, "_blocks", 0) + 1

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        for index in range(values.shape[2]):
            layer = values[:, :, index]
            self._numbers.write((layer.T if self._turned else layer).reshape(-1, order="F"))

    def _end_block(self, file: BinaryIO) -> None:
        self._numbers.finish()
        if self._blocks <= len(self._augmentation):
            file.write(self._augmentation[self._blocks - 1].encode())

    def write_spin(self, spin: NDArray[np.floating[Any]]) -> None:
        """Append the spin density, (nx, ny, nz) or (3, nx, ny, nz), behind the last slab."""
        for component in spin.reshape(-1, *self.grid.shape):
            self._end_block(self._file)
            self._begin_block(self._file)
            for start, stop in self.grid.slabs(2, SLAB_POINTS):
                self._write_layers(take_layers(component, 2, start, stop))

    def _write_footer(self, file: BinaryIO) -> None:
        self._end_block(file)


def _exchanged(atoms: Atoms) -> Atoms:
    """Return a structure with its first two axes exchanged."""
    return Atoms(
        numbers=atoms.numbers,
        positions=atoms.positions,
        cell=np.asarray(atoms.cell)[[1, 0, 2]],
        pbc=np.asarray(atoms.pbc)[[1, 0, 2]],
    )


def _exchanged_grid(grid: Grid) -> Grid:
    nx, ny, nz = grid.shape
    return Grid(grid.cell[[1, 0, 2]], (ny, nx, nz), grid.origin)


def layout_of(path: str | Path) -> NumberLayout:
    """Return the layout of a CHG or of a CHGCAR, by the file name."""
    return CHG_LAYOUT if _CHG.search(Path(path).name) else CHGCAR_LAYOUT


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> VaspWriter:
    """Return a writer of a CHGCAR (or of a CHG, by its name); see `VaspWriter` for the options."""
    options.setdefault("layout", layout_of(path))
    return VaspWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density, *, comment: str | None = None) -> None:
    """Write a density, with its spin density and augmentation occupancies, as a CHGCAR or CHG."""
    known = density.metadata
    writer = open_writer(
        path,
        density.atoms,
        density.grid,
        level=density.level,
        comment=known.get("comment", "") if comment is None else comment,
        augmentation=known.get("augmentation", ()),
        selective_dynamics=known.get("selective_dynamics", ()),
        quantity=known.get("quantity", "density"),
    )
    with writer:
        for start, stop in density.grid.slabs(2, SLAB_POINTS):
            writer.write_slab(take_layers(density.values, 2, start, stop))
        if density.spin is not None:
            writer.write_spin(density.spin)
