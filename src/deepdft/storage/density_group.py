"""The zarr layout of one density, large or small: compressed chunks that can be read in parts.

A group of the zarr format, version 3, has the array `density` (nx, ny, nz), e/Å^3, perhaps `spin`
((3,) nx, ny, nz), the structure as arrays `numbers` (n,), `positions` (n, 3) and perhaps
`initial_moments` (n,) or (n, 3), and the attributes `format`, `version`, `unit`, `cell`, `origin`
(of the grid), `pbc`, `structure_cell`, `level` and `metadata`. Lengths are Å. Every chunk ends in a
checksum. Groups that are filled chunk by chunk have the attribute `finished`, see
`deepdft.storage.chunked_density`. Groups of earlier versions have the structure as attributes.
"""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Grid
from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import DAMAGE, reason_of
from deepdft.storage.json_files import read_json
from deepdft.storage.zarr_metadata import require_plain

FORMAT = "deepdft density"
VERSION = 1
"""Of densities in zarr groups and in NumPy archives."""
VALUES = "density"
METADATA = "zarr.json"
_LARGEST_NUMBER = 118
_STRUCTURE = ("numbers", "positions", "initial_moments")
_MEMBERS = {METADATA, VALUES, "spin", *_STRUCTURE}


def is_density_group(path: str | Path) -> bool:
    """Return whether a folder is a density in this layout, and holds nothing else."""
    try:
        known = read_json(os.path.join(path, METADATA))["attributes"]["format"] == FORMAT
        return bool(known) and set(os.listdir(path)) <= _MEMBERS
    except (OSError, KeyError, TypeError, FileFormatError):
        return False


def open_plain_group(path: str | Path) -> Any:
    """Open a zarr group whose arrays are plain numbers.

    Raises:
        ValueError, or what else is in `deepdft.storage.damage.DAMAGE`, FileFormatError: if it is
            none, or an array is unusual.
    """
    import zarr

    require_plain(path, _STRUCTURE, (VALUES, "spin"))
    # The copy of all descriptions in that of the group has not been looked at.
    return zarr.open_group(os.fspath(path), mode="r", zarr_format=3, use_consolidated=False)


def open_density_group(path: str | Path) -> tuple[Any, dict[str, Any]]:
    """Return a zarr group and its attributes.

    Raises:
        FileFormatError: if the folder is no group in this layout, or is not finished.
    """
    try:
        group = open_plain_group(path)
        about = dict(group.attrs)
        if about.get("format") != FORMAT or about.get("version") != VERSION:
            raise ValueError(f"it is {about.get('format')!r} version {about.get('version')!r}")
        read_grid(group, about)
        LevelOfTheory.from_dict(about.get("level", {}))
        if not isinstance(about.get("metadata", {}), dict):
            raise ValueError("its metadata are no mapping")
    except (*DAMAGE, DeepDFTError) as error:
        raise FileFormatError(
            f"{path} is not a density in a zarr group, or damaged: {reason_of(error)}"
        ) from None
    if not about.get("finished", True):
        raise FileFormatError(
            f"{path} is not finished: give the command that fills it again, and it goes on where "
            "it stopped."
        )
    return group, about


def read_grid(group: Any, about: dict[str, Any]) -> Grid:
    """Return the grid of a group."""
    nx, ny, nz = group[VALUES].shape
    return Grid(np.array(about["cell"]), (nx, ny, nz), np.array(about["origin"]))


def read_structure(group: Any, about: dict[str, Any]) -> Atoms:
    """Return the structure of a group."""

    def entry(name: str) -> NDArray[Any]:
        return np.asarray(group[name][...] if name in group else about[name])

    numbers = entry("numbers")
    if numbers.dtype.kind not in "iu" or not (
        0 <= numbers.min(initial=0) <= numbers.max(initial=0) <= _LARGEST_NUMBER
    ):
        raise ValueError("an atomic number makes no sense")
    positions = entry("positions").astype(np.float64).reshape(-1, 3)
    if not np.isfinite(positions).all():
        raise ValueError("a position is not finite")
    cell, periodic = np.asarray(about["structure_cell"], dtype=np.float64), about["pbc"]
    if cell.shape != (3, 3) or not np.isfinite(cell).all():
        raise ValueError("the cell of the structure is none")
    if not isinstance(periodic, list) or [type(axis) for axis in periodic] != [bool] * 3:
        raise ValueError("its periodicity makes no sense")
    atoms = Atoms(
        numbers=numbers.astype(int),
        positions=positions,
        cell=cell,
        pbc=periodic,
    )
    if "initial_moments" in group:
        atoms.set_initial_magnetic_moments(entry("initial_moments"))
    return atoms


def create_density_group(
    path: str | Path,
    atoms: Atoms,
    grid: Grid,
    chunk_shape: tuple[int, ...],
    *,
    dtype: Any = "<f4",
    spin: NDArray[np.floating[Any]] | None = None,
    level: LevelOfTheory | None = None,
    attributes: dict[str, Any] | None = None,
) -> Any:
    """Make a zarr group for a density, whose values are NaN where nothing is written; return it.

    Args:
        path: a new folder.
        atoms: the structure.
        grid: the points.
        chunk_shape: points along each axis of a chunk.
        dtype: how the values are stored.
        spin: spin density, (nx, ny, nz) or (3, nx, ny, nz), which is written.
        level: level of theory.
        attributes: more attributes, JSON-like.
    """
    import zarr

    about = _attributes(atoms, grid, level) | (attributes or {})
    group: Any = zarr.create_group(os.fspath(path), attributes=about, zarr_format=3)

    def create(name: str, shape: tuple[int, ...], chunks: tuple[int, ...], kind: Any) -> Any:
        return group.create_array(
            name, shape=shape, chunks=chunks, dtype=kind, compressors=codecs(),
            fill_value=float("nan"), dimension_names=("component", "a", "b", "c")[-len(shape) :],
            attributes={"units": "e/Å^3", "long_name": f"electron {name}"},
        )  # fmt: skip

    create(VALUES, grid.shape, chunk_shape, dtype)
    if spin is not None:
        shape = (*spin.shape[:-3], *chunk_shape)
        create("spin", spin.shape, shape, spin.dtype)[...] = spin
    structure = {
        "numbers": (np.asarray(atoms.numbers, dtype=np.uint8), {}),
        "positions": (np.asarray(atoms.positions), {"units": "Å"}),
    }
    if atoms.has("initial_magmoms"):
        structure["initial_moments"] = (atoms.get_initial_magnetic_moments(), {"units": "μB"})
    for name, (values, known) in structure.items():
        array = group.create_array(
            name, shape=values.shape, dtype=values.dtype, attributes=known,
            dimension_names=("atom", "xyz")[: values.ndim],
        )  # fmt: skip
        array[...] = values
    with warnings.catch_warnings():
        # zarr reminds that the third format has no standard for it yet; xarray asks for it.
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(os.fspath(path))
    return group


def codecs() -> list[Any]:
    """Return how chunks are compressed and checked."""
    from zarr.codecs import BloscCodec, Crc32cCodec

    return [BloscCodec(cname="zstd", clevel=3, shuffle="bitshuffle"), Crc32cCodec()]


def storable(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return the part of metadata that JSON can hold, without the notes of reading."""
    result = {}
    for key, value in metadata.items():
        try:
            if key != "notes":
                result[key] = json.loads(json.dumps(value))
        except (TypeError, ValueError):
            continue
    return result


def _attributes(atoms: Atoms, grid: Grid, level: LevelOfTheory | None) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": VERSION,
        "unit": "e/angstrom^3",
        "cell": grid.cell.tolist(),
        "origin": grid.origin.tolist(),
        "shape": list(grid.shape),
        "pbc": [bool(periodic) for periodic in atoms.pbc],
        "structure_cell": np.asarray(atoms.cell).tolist(),
        "level": (level or LevelOfTheory()).to_dict(),
    }
