"""Many densities on grids in one small file: integers of a fixed step, packed.

What is kept of each density is its difference to superposed atomic densities where the file has
their tables (they travel inside it), else the density itself; total and spin density are rounded
to multiples of a step each, stored as differences between neighbouring points along the last axis
and compressed with LZMA. The rounding changes a value by at most half a step, whatever its size.

The file is a zip archive: `compact.json` (format, level of theory, steps, and per density its name,
shapes and `info`), `structures.npz` and `tables.npz` (NumPy archives), and `NAME.total` and
`NAME.spin` (LZMA streams). One density is named `FILE::NAME`.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.tables import tables_of
from deepdft.fields.walk import values_on
from deepdft.levels import LevelOfTheory, SharedLevel
from deepdft.storage.damage import reported
from deepdft.storage.json_files import parse_json
from deepdft.storage.numpy_archives import (
    has_members,
    read_arrays,
    read_member,
    require_sensible,
)
from deepdft.storage.whole_files import AtomicFile

FORMAT = "deepdft compact densities"
VERSION = 1
SUFFIX = ".zip"
INDEX = "compact.json"
STEP = 1e-4
"""Default step of the total density, e/Å^3; it changes a value by a quarter of that on average."""
SPIN_STEP = 4e-5
"""Default step of the spin density, e/Å^3."""

_MOST_POINTS = 1 << 27
"""Of a density, which is unpacked in memory."""
_LZMA_MEMORY = 1 << 28
"""Bytes of its dictionary; ours have a quarter of that."""
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "lc": 0, "lp": 0, "pb": 0}]


class CompactEntry(NamedTuple):
    """One density to be written.

    Attributes:
        name: unique, fit for a file name.
        density: total and perhaps (collinear) spin density.
        info: JSON values kept beside it, for example energy and moments.
    """

    name: str
    density: Density
    info: Mapping[str, Any]


def is_compact(path: str | Path) -> bool:
    """Return whether a path is a file of compact densities."""
    return Path(path).suffix.lower() == SUFFIX and has_members(path, [INDEX])


def write_compact(
    path: str | Path,
    entries: Iterable[CompactEntry],
    *,
    tables: AtomicDensityTables | None = None,
    step: float = STEP,
    spin_step: float = SPIN_STEP,
) -> None:
    """Write densities of one level of theory.

    Args:
        path: the file, `.zip`.
        entries: what to write; read one at a time.
        tables: atomic densities to subtract; they are stored in the file.
        step: of the total density, e/Å^3.
        spin_step: of the spin density, e/Å^3.

    Raises:
        ConfigurationError: if there is nothing to write, names repeat, a spin density is
            non-collinear or a value is not finite.
        LevelOfTheoryError: if the levels of theory differ.
        UnsupportedStructureError: if an element has no table.
    """
    index: list[dict[str, Any]] = []
    structures: dict[str, NDArray[Any]] = {}
    shared: SharedLevel | None = None
    with (
        AtomicFile(path) as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive,
    ):
        for entry in entries:
            density = entry.density
            if any(known["name"] == entry.name for known in index):
                raise ConfigurationError(f"The density {entry.name} is given twice.")
            shared = shared or SharedLevel(density.level)
            shared.add(density.level, f"{entry.name} cannot be added to {path}")
            total = _beyond(density, tables)
            _put(archive, f"{entry.name}.total", _pack(total, step, entry.name))
            if density.spin is not None:
                if density.spin.ndim != 3:
                    raise ConfigurationError(f"The spin density of {entry.name} is non-collinear.")
                _put(archive, f"{entry.name}.spin", _pack(density.spin, spin_step, entry.name))
            structures |= _structure(len(index), density)
            index.append(
                {
                    "name": entry.name,
                    "shape": list(density.grid.shape),
                    "spin": density.spin is not None,
                    "info": dict(entry.info),
                }
            )
        if shared is None:
            raise ConfigurationError(f"There is no density to write to {path}.")
        about = {
            "format": FORMAT,
            "version": VERSION,
            "level": shared.level.to_dict(),
            "step": step,
            "spin_step": spin_step,
            "densities": index,
        }
        _put(archive, INDEX, json.dumps(about).encode(), deflate=True)
        _put(archive, "structures.npz", _npz(structures))
        if tables is not None:
            _put(archive, "tables.npz", _npz(_tables_arrays(tables)))


def rounding_error(
    density: Density, tables: AtomicDensityTables | None = None, step: float = STEP
) -> float:
    """Return eps_mae (eq. 7, a fraction) between a density and what a file gives back of it."""
    total = _beyond(density, tables)
    norm = np.abs(density.values).sum(dtype=np.float64)
    return float(np.abs(np.round(total / step) * step - total).sum() / norm)


@dataclass(frozen=True)
class CompactFile:
    """A file of compact densities, opened to read.

    Attributes:
        path: the file.
    """

    path: str

    @cached_property
    def about(self) -> dict[str, Any]:
        """The index: level, steps, and name, shape and info of every density.

        Raises:
            FileFormatError: if the file is damaged or of a later version.
        """
        about: dict[str, Any] = parse_json(self._member(INDEX), f"{self.path}::{INDEX}")
        with reported(self.path):
            if about["format"] != FORMAT or not about["version"] <= VERSION:
                raise FileFormatError(
                    f"{self.path} is of version {str(about['version'])[:20]} of the format; this "
                    f"version of deepdft reads up to {VERSION}."
                )
            for step in (about["step"], about["spin_step"]):
                if not 0 < step < 1:
                    raise ValueError(f"a step of {str(step)[:20]}")
            for entry in about["densities"]:
                _require_entry(entry)
        return about

    @property
    def names(self) -> list[str]:
        """Names of the densities, in order."""
        return [entry["name"] for entry in self.about["densities"]]

    @cached_property
    def tables(self) -> AtomicDensityTables | None:
        """The atomic densities that were subtracted, if any."""
        with zipfile.ZipFile(self.path) as archive:
            if "tables.npz" not in archive.namelist():
                return None
        arrays = self._arrays("tables.npz")
        with reported(self.path):
            description = parse_json(str(arrays["description"]), self.path)
            return tables_of(description, arrays["knots"])

    def density(self, name: str) -> Density:
        """Return one density in double precision, its info in `metadata["calculation"]`.

        Raises:
            ConfigurationError: if there is none of that name.
            FileFormatError: if the file is damaged.
        """
        number = self._number(name)
        entry = self.about["densities"][number]
        with reported(self.path):
            atoms, grid = self._structure(number, tuple(entry["shape"]))
            total = _unpack(self._member(f"{name}.total"), grid.shape, self.about["step"])
            spin = None
            if entry["spin"]:
                spin = _unpack(self._member(f"{name}.spin"), grid.shape, self.about["spin_step"])
            if self.tables is not None:
                total += values_on(SuperposedAtoms(self.tables, atoms), grid)
        level = LevelOfTheory.from_dict(self.about["level"])
        metadata = {"calculation": entry["info"]} if entry["info"] else {}
        return Density(atoms, grid, total, spin=spin, level=level, metadata=metadata)

    def atoms(self, name: str) -> Atoms:
        """Return one structure.

        Raises:
            ConfigurationError: if there is none of that name.
        """
        number = self._number(name)
        with reported(self.path):
            return self._structure(number, tuple(self.about["densities"][number]["shape"]))[0]

    def _number(self, name: str) -> int:
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise ConfigurationError(f"{self.path} has no density '{name}'.{hint}")
        return self.names.index(name)

    def _structure(self, number: int, shape: tuple[int, ...]) -> tuple[Atoms, Grid]:
        arrays = self._structures
        atoms = Atoms(
            numbers=arrays[f"numbers_{number}"],
            positions=arrays[f"positions_{number}"],
            cell=arrays[f"cell_{number}"][0],
            pbc=arrays[f"pbc_{number}"],
        )
        moments = arrays.get(f"moments_{number}")
        if moments is not None:
            atoms.set_initial_magnetic_moments(moments)
        box = arrays[f"cell_{number}"]
        return atoms, Grid(box[1], (shape[0], shape[1], shape[2]), arrays[f"origin_{number}"])

    @cached_property
    def _structures(self) -> dict[str, NDArray[Any]]:
        return self._arrays("structures.npz")

    def _arrays(self, member: str) -> dict[str, NDArray[Any]]:
        with reported(self.path):
            return read_arrays(io.BytesIO(self._member(member)))

    def _member(self, name: str) -> bytes:
        with reported(self.path), zipfile.ZipFile(self.path) as archive:
            require_sensible(archive)
            return read_member(archive, name)


def _require_entry(entry: Any) -> None:
    """Raise `ValueError` or `TypeError` if an entry of the index makes no sense."""
    name, shape = entry["name"], entry["shape"]
    if not isinstance(name, str) or not isinstance(entry["info"], dict):
        raise ValueError("an entry of its index has no name or no info")
    whole = all(isinstance(n, int) and n > 0 for n in shape)
    if len(shape) != 3 or not whole or math.prod(shape) > _MOST_POINTS:
        raise ValueError(f"{name[:40]} has a grid of {str(shape)[:60]} points")


def _beyond(density: Density, tables: AtomicDensityTables | None) -> NDArray[np.float64]:
    """Return the density less the superposed atoms, in double precision."""
    total = np.asarray(density.values, dtype=np.float64)
    if tables is None:
        return total
    return total - values_on(SuperposedAtoms(tables, density.atoms), density.grid)


def _structure(number: int, density: Density) -> dict[str, NDArray[Any]]:
    atoms, grid = density.atoms, density.grid
    arrays = {
        "numbers": atoms.numbers.astype(np.uint8),
        "positions": atoms.positions,
        "cell": np.stack([atoms.cell.array, grid.cell]),
        "origin": grid.origin,
        "pbc": atoms.pbc,
    }
    if atoms.has("initial_magmoms"):
        arrays["moments"] = atoms.get_initial_magnetic_moments()
    return {f"{name}_{number}": array for name, array in arrays.items()}


def _tables_arrays(tables: AtomicDensityTables) -> dict[str, NDArray[Any]]:
    description = {
        "elements": list(tables.elements),
        "spacing": tables.spacing,
        "level": tables.level.to_dict(),
        "source": tables.source,
    }
    return {"knots": tables.knots, "description": np.array(json.dumps(description))}


def _npz(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _put(archive: zipfile.ZipFile, name: str, content: bytes, deflate: bool = False) -> None:
    # A fixed date: the same densities give the same bytes.
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    method = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    archive.writestr(member, content, compress_type=method)


def _pack(values: NDArray[Any], step: float, name: str) -> bytes:
    if not np.isfinite(values).all():
        raise ConfigurationError(f"The density {name} has values that are not finite.")
    whole = np.round(np.asarray(values, dtype=np.float64) / step)
    if np.abs(whole).max(initial=0) > 2**30:
        raise ConfigurationError(f"Values of {name} are too large for a step of {step} e/Å^3.")
    differences = whole.astype(np.int32)
    differences[..., 1:] -= differences[..., :-1].copy()
    # Zigzag: small numbers of either sign have high bytes of zero.
    folded = ((differences << 1) ^ (differences >> 31)).astype("<u4")
    planes = np.ascontiguousarray(folded.reshape(-1, 1).view(np.uint8).T)
    return lzma.compress(planes.tobytes(), format=lzma.FORMAT_XZ, filters=_FILTERS)


def _unpack(content: bytes, shape: tuple[int, ...], step: float) -> NDArray[np.float64]:
    size = 4 * math.prod(shape)
    decompressor = lzma.LZMADecompressor(memlimit=_LZMA_MEMORY)
    unpacked = decompressor.decompress(content, max_length=size + 1)
    if len(unpacked) != size:
        raise ValueError(f"a density does not have the {size // 4} points announced")
    planes = np.frombuffer(unpacked, dtype=np.uint8).reshape(4, -1)
    folded = np.ascontiguousarray(planes.T).view("<u4").reshape(shape).astype(np.uint32)
    differences = (folded >> 1).astype(np.int32) ^ -(folded & 1).astype(np.int32)
    whole = np.cumsum(differences, axis=-1, dtype=np.int64)
    return np.asarray(whole * step, dtype=np.float64)
