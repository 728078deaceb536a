"""Densities as zarr groups: a directory of compressed chunks that can be read in parts.

A group has the array `density` (nx, ny, nz), e/Å^3, perhaps `spin`, and the attributes `format`,
`version`, `unit`, `cell`, `origin` (of the grid), `numbers`, `positions`, `pbc`, `structure_cell`,
`level` and `metadata`. Lengths are Å. Groups that predictions fill chunk by chunk have `numbers`
and `positions` as arrays, and the attribute `finished` (see `deepdft.storage.chunked_density`).
"""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.formats.npz import FORMAT, VERSION, checked, storable
from deepdft.formats.slab_writer import SlabWriter, write_density
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import reason_of
from deepdft.storage.source import Source

CHUNK = 32
"""Points along each edge of a chunk."""


def sniff(head: bytes) -> bool:
    """Return False: a zarr group is a directory, known by its name or by zarr.json within."""
    return False


def read(source: Source, *, lazy: bool = False, quantity: str | None = None) -> Density:
    """Read a density from a zarr group.

    Args:
        source: the directory.
        lazy: whether `values` shall be a dask array, of which only what is used is loaded.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.

    Raises:
        FileFormatError: if the directory is no zarr group, is damaged, holds something else, or a
            prediction has not finished filling it.
    """
    import zarr

    try:
        group: Any = zarr.open_group(source.local, mode="r")
        about = dict(group.attrs)
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise ValueError(f"it is {about.get('format')!r} version {about.get('version')!r}")
        if not about.get("finished", True):
            raise FileFormatError(
                f"{source.path} is not finished: give the command that fills it again, and it "
                "goes on where it stopped."
            )
        load = _lazily if lazy else _whole
        spin = load(group["spin"]) if "spin" in group else None
        density = _assemble(group, about, load(group["density"]), spin)
    except FileFormatError:
        raise
    except (KeyError, ValueError, TypeError, OSError, RuntimeError, MemoryError) as error:
        raise _unusable(source, error) from None
    except DeepDFTError as error:
        raise _unusable(source, error) from None
    return checked(source, density, quantity)


def _unusable(source: Source, error: Exception) -> FileFormatError:
    return FileFormatError(
        f"{source.path} is not a density in a zarr group, or damaged: {reason_of(error)}"
    )


def _whole(array: Any) -> NDArray[Any]:
    return np.asarray(array[...])


def _lazily(array: Any) -> Any:
    import dask.array

    from_array: Any = dask.array.from_array
    return from_array(array, chunks=array.chunks)


def _assemble(
    group: Any, about: dict[str, Any], values: NDArray[Any], spin: NDArray[Any] | None
) -> Density:
    nx, ny, nz = values.shape
    grid = Grid(np.array(about["cell"]), (nx, ny, nz), np.array(about["origin"]))
    metadata = {"notes": [], **about.get("metadata", {})}
    level = LevelOfTheory.from_dict(about.get("level", {}))
    return Density(read_structure(group, about), grid, values, spin, level, metadata)


def read_structure(group: Any, about: dict[str, Any]) -> Atoms:
    """Return the structure of a group; its atoms are arrays or, if not many, attributes."""

    def entry(name: str) -> NDArray[Any]:
        return np.asarray(group[name][...] if name in group else about[name])

    return Atoms(
        numbers=entry("numbers").astype(int),
        positions=entry("positions").astype(np.float64).reshape(-1, 3),
        cell=about["structure_cell"],
        pbc=about["pbc"],
    )


class ZarrWriter(SlabWriter):
    """Writes a zarr group slab by slab along the first axis."""

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
        self._target = os.path.realpath(path)
        folder, name = os.path.split(self._target)
        if not os.path.isdir(folder):
            raise ConfigurationError(f"There is no folder {folder} to write {name} into.")
        if os.path.exists(self._target) and not _is_group(self._target):
            raise ConfigurationError(f"{path} exists and is not a zarr group.")
        self._temporary = os.path.join(folder, f".{name}.{secrets.token_hex(6)}.part")
        self._spin = spin
        self._dtype = np.dtype(dtype)
        known = dict(metadata or {}) | ({"comment": comment} if comment else {})
        self._attributes = {
            "format": FORMAT,
            "version": VERSION,
            "unit": "e/angstrom^3",
            "cell": grid.cell.tolist(),
            "origin": grid.origin.tolist(),
            "numbers": np.asarray(atoms.numbers).tolist(),
            "positions": np.asarray(atoms.positions).tolist(),
            "pbc": [bool(periodic) for periodic in atoms.pbc],
            "structure_cell": np.asarray(atoms.cell).tolist(),
            "level": (level or LevelOfTheory()).to_dict(),
            "metadata": storable(known),
        }

    def _begin(self) -> None:
        import zarr

        group = zarr.create_group(self._temporary, attributes=self._attributes)
        shape = self.grid.shape
        chunks = tuple(min(CHUNK, n) for n in shape)
        self._array = group.create_array("density", shape=shape, chunks=chunks, dtype=self._dtype)
        # Layers wait here until they fill a row of chunks: a chunk is written once.
        self._waiting = np.empty((chunks[0], *shape[1:]), dtype=self._dtype)
        self._written = 0
        if self._spin is not None:
            leading = self._spin.shape[:-3]
            spin = group.create_array(
                "spin",
                shape=self._spin.shape,
                chunks=(*leading, *chunks),
                dtype=self._spin.dtype,
            )
            spin[...] = self._spin

    def _write_layers(self, values: NDArray[np.floating[Any]]) -> None:
        for layer in values:
            if not np.isfinite(layer).all():
                raise ConfigurationError("A value of a density is not finite and is not written.")
            self._waiting[self._written % len(self._waiting)] = layer
            self._written += 1
            if self._written % len(self._waiting) == 0:
                self._flush(len(self._waiting))

    def _flush(self, count: int) -> None:
        self._array[self._written - count : self._written] = self._waiting[:count]

    def _finish(self) -> None:
        rest = self._written % len(self._waiting)
        if rest:
            self._flush(rest)
        old = None
        if os.path.exists(self._target):
            old = f"{self._temporary}.old"
            os.replace(self._target, old)
        os.replace(self._temporary, self._target)
        if old is not None:
            shutil.rmtree(old)

    def _abandon(
        self,
        kind: type[BaseException],
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self._temporary, ignore_errors=True)


def _is_group(path: str) -> bool:
    return any(os.path.exists(os.path.join(path, name)) for name in ("zarr.json", ".zgroup"))


def open_writer(path: str | Path, atoms: Atoms, grid: Grid, **options: Any) -> ZarrWriter:
    """Return a writer of a zarr group; see `ZarrWriter` for the options."""
    return ZarrWriter(path, atoms, grid, **options)


def write(path: str | Path, density: Density, *, comment: str | None = None) -> None:
    """Write a density, its spin density and its metadata as a zarr group, exactly."""
    options: dict[str, Any] = {"level": density.level, "metadata": density.metadata}
    options.update(comment=comment or "", spin=density.spin, dtype=density.values.dtype)
    write_density(ZarrWriter(path, density.atoms, density.grid, **options), density)
