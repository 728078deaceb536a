"""Densities as NumPy archives (.npz): exact, quick, and readable with `numpy.load` alone.

Members: `values` (nx, ny, nz) e/Å^3; `cell` (3, 3), `origin` (3,) and `shape` (3,) of the grid;
`numbers` (n,), `positions` (n, 3), `pbc` (3,) and `structure_cell` (3, 3) of the structure; perhaps
`spin`, and `initial_moments` (n,), the magnetic moments that the calculation started from, Bohr
magnetons; and `about`, a JSON text with the format's name and version, the level of theory and the
metadata. Lengths are Å.
"""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.formats.quantities import as_asked
from deepdft.formats.slab_writer import FileSlabWriter, write_density
from deepdft.formats.source import Source
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import DAMAGE, reason_of
from deepdft.storage.density_group import FORMAT, VERSION, storable
from deepdft.storage.numpy_archives import read_arrays

_DAMAGE = (*DAMAGE, DeepDFTError)


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a NumPy archive."""
    return head.startswith(b"PK\x03\x04")


def read(source: Source, *, quantity: str | None = None) -> Density:
    """Read a density that `write` has written.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the archive is damaged or holds something else.
    """
    with _reporting_damage(source):
        density = _assemble(_read_arrays(source))
    return as_asked(source.path, density, quantity)


def read_preview(source: Source, **_: Any) -> Atoms:
    """Return the structure of an archive, without the values."""
    with _reporting_damage(source):
        return _structure(_read_arrays(source, without=("values", "spin")))


@contextlib.contextmanager
def _reporting_damage(source: Source) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise FileFormatError(
            f"{source.path} is not a density in NumPy format, or it is damaged: {reason_of(error)}"
        ) from None


def _read_arrays(source: Source, without: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    with source.open() as file:
        seekable: Any = file if source.codec is None else io.BytesIO(file.read())
        return read_arrays(seekable, without)


def _assemble(arrays: dict[str, NDArray[Any]]) -> Density:
    about = json.loads(str(arrays["about"]))
    if about.get("format") != FORMAT or about.get("version") != VERSION:
        raise ValueError(f"it is {about.get('format')!r} version {about.get('version')!r}")
    nx, ny, nz = (int(n) for n in arrays["shape"])
    grid = Grid(arrays["cell"], (nx, ny, nz), arrays["origin"])
    level = LevelOfTheory.from_dict(about.get("level", {}))
    metadata = {"notes": [], **about.get("metadata", {})}
    spin = arrays.get("spin")
    return Density(_structure(arrays), grid, arrays["values"], spin, level, metadata)


def _structure(arrays: dict[str, NDArray[Any]]) -> Atoms:
    atoms = Atoms(
        numbers=arrays["numbers"],
        positions=arrays["positions"],
        cell=arrays["structure_cell"],
        pbc=arrays["pbc"],
    )
    if "initial_moments" in arrays:
        atoms.set_initial_magnetic_moments(arrays["initial_moments"])
    return atoms


class NpzWriter(FileSlabWriter):
    """Writes an archive slab by slab along the first axis; `values` are stored uncompressed."""

    axis = 0

    def __init__(
        self,
        path: str | Path,
        atoms: Atoms,
        grid: Grid,
        *,
        level: LevelOfTheory | None = None,
        comment: str = "",
        metadata: dict[str, Any] | None = None,
        spin: NDArray[np.floating[Any]] | None = None,
        dtype: Any = np.float64,
    ) -> None:
        """See `deepdft.formats.open_writer`; `dtype` is how the values are stored."""
        super().__init__(path, grid)
        self._dtype = np.dtype(dtype).newbyteorder("<")
        known = dict(metadata or {}) | ({"comment": comment} if comment else {})
        about = {
            "format": FORMAT,
            "version": VERSION,
            "unit": "e/angstrom^3",
            "level": (level or LevelOfTheory()).to_dict(),
            "metadata": storable(known),
        }
        self._members: dict[str, NDArray[Any]] = {
            "about": np.array(json.dumps(about)),
            "cell": grid.cell,
            "origin": grid.origin,
            "shape": np.array(grid.shape, dtype=np.int64),
            "numbers": np.asarray(atoms.numbers, dtype=np.int64),
            "positions": np.asarray(atoms.positions),
            "pbc": np.asarray(atoms.pbc),
            "structure_cell": np.asarray(atoms.cell),
        }
        if spin is not None:
            self._members["spin"] = spin
        if atoms.has("initial_magmoms"):
            self._members["initial_moments"] = atoms.get_initial_magnetic_moments()

    def _write_header(self, file: BinaryIO) -> None:
        # Unseekable on purpose: what is written is never changed, so compression can follow.
        self._archive = zipfile.ZipFile(_Appending(file), "w", zipfile.ZIP_STORED)
        for name, array in self._members.items():
            with self._member(name) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
        self._values = self._member("values")
        header = {"descr": self._dtype.str, "fortran_order": False, "shape": self.grid.shape}
        np.lib.format.write_array_header_1_0(self._values, header)

    def _member(self, name: str) -> Any:
        info = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
        return self._archive.open(info, "w", force_zip64=True)

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        for layer in values:
            self._values.write(np.ascontiguousarray(layer, dtype=self._dtype).data)

    def _write_footer(self, file: BinaryIO) -> None:
        self._close()

    def _close(self) -> None:
        self._values.close()
        self._archive.close()

    def _abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # Otherwise zipfile tries to finish the archive whenever it is forgotten.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._close()
        super()._abandon(kind, error, traceback)


class _Appending(io.RawIOBase):
    """A binary file that can only be appended to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        return memoryview(data).nbytes


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> NpzWriter:
    """Return a writer of an npz file; see `NpzWriter` for the options."""
    return NpzWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density, *, comment: str | None = None) -> None:
    """Write a density, its spin density and its metadata as an npz file, exactly."""
    options: dict[str, Any] = {"level": density.level, "metadata": density.metadata}
    options.update(comment=comment or "", spin=density.spin, dtype=density.values.dtype)
    write_density(NpzWriter(path, density.atoms, density.grid, **options), density)
