"""Archives of crystals' densities as plane waves: one of each star of symmetry-equivalent ones.

A smooth density of a crystal is a short Fourier series, and symmetry makes it shorter:

    rho(x) = sum over h of c(h) exp(2 pi i h.x),   c(h R) = c(h) exp(2 pi i h.t),   c(-h) = c(h)*

for every operation x -> R x + t of the space group, x in units of the cell. A file (.npz) holds,
for n crystals one after the other: `name`, `shape` (n, 3), `cell` (n, 3, 3) (Å, rows), `natoms`,
`noperations`, `nwaves`, all of length n; `numbers` and `positions` (Å) of all atoms; `rotations`
(k, 3, 3) and `translations` (k, 3) of all operations; `hkl_steps` (3, w), by how much h of a wave
differs from the one before, which takes little room (or `hkl` (w, 3), as it is), and `waves`
(w, 2), real and imaginary parts as integers in units of 2^-24 e/bohr^3. `spin_waves` are likewise
those of the spin density of the crystals where `magnetic` is 1. Further arrays of length n (`key`,
`group`, `energy`, ...) describe the crystals. `level`, a JSON text, names the level of theory;
files without it are PBE, PseudoDojo's standard norm-conserving pseudopotentials at 80 Ry.

One density is named `FILE.npz::NAME`.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import NDArray

from deepdft.data.symmetric_waves import Symmetry, expand, reduce
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.levels import LevelOfTheory, SharedLevel
from deepdft.storage.damage import reported
from deepdft.storage.json_files import parse_json
from deepdft.storage.numpy_archives import Layout, has_members, read_arrays, require_layout
from deepdft.storage.whole_files import AtomicFile
from deepdft.units import BOHR

DEFAULT_LEVEL = LevelOfTheory("PBE", "PseudoDojo NC-SR 0.4", "80 Ry", "Quantum ESPRESSO 6.7")
UNIT = 2.0**-24
"""e/bohr^3 of one unit of `waves`."""
_MOST_POINTS = 1 << 27
"""Of a crystal's grid, which is made in memory."""

_LAYOUT = (
    "name", "shape", "cell", "natoms", "noperations", "nwaves", "numbers", "positions",
    "rotations", "translations", "hkl", "waves",
)  # fmt: skip
_NUMBERS = "iuf"
_WHOLE = "iu"
_ARRAYS: Layout = {
    "name": ("U", (None,)), "shape": (_WHOLE, (None, 3)), "cell": (_NUMBERS, (None, 3, 3)),
    "natoms": (_WHOLE, (None,)), "noperations": (_WHOLE, (None,)), "nwaves": (_WHOLE, (None,)),
    "numbers": (_WHOLE, (None,)), "positions": (_NUMBERS, (None, 3)),
    "rotations": (_WHOLE, (None, 3, 3)), "translations": (_NUMBERS, (None, 3)),
    "hkl": (_WHOLE, (None, 3)), "waves": (_NUMBERS, (None, 2)), "spin_waves": (_NUMBERS, (None, 2)),
    "magnetic": ("iub", (None,)), "level": ("U", ()),
}  # fmt: skip
_NOT_DESCRIBING = {*_LAYOUT, "spin_waves", "level"}
_STEPS = "hkl_steps"


def is_plane_wave_archive(path: str | Path) -> bool:
    """Return whether a path is an archive of plane waves."""
    return Path(path).suffix == ".npz" and any(
        has_members(path, [f"{name}.npy", "waves.npy"]) for name in (_STEPS, "hkl")
    )


class PlaneWaveArchive:
    """A file of crystals' densities.

    Args:
        path: the file, .npz.

    Raises:
        FileFormatError: if it is missing, damaged or something else.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise FileFormatError(f"There is no archive of plane waves {path}.")
        with reported(path, "cannot be read as an archive of plane waves"):
            self._data = _with_waves(read_arrays(self.path))
        missing = [name for name in _LAYOUT if name not in self._data]
        if missing:
            raise FileFormatError(
                f"{path} is not an archive of plane waves: it lacks {', '.join(missing)}."
            )
        with reported(path):
            self._check()

    @property
    def names(self) -> list[str]:
        """Names of the crystals, in order."""
        return [str(name) for name in self._data["name"]]

    @cached_property
    def level(self) -> LevelOfTheory:
        """Level of theory of all densities."""
        text = self._data.get("level")
        if text is None:
            return DEFAULT_LEVEL
        return LevelOfTheory.from_dict(parse_json(str(text), self.path))

    def __len__(self) -> int:
        return len(self._data["name"])

    def __iter__(self) -> Iterator[Density]:
        return (self.density(name) for name in self.names)

    def atoms(self, name: str) -> Atoms:
        """Return one structure; `info` has what describes it ("name", "key", "group", ...)."""
        row = self._row(name)
        part = self._part("natoms", row)
        atoms = Atoms(
            self._data["numbers"][part],
            self._data["positions"][part],
            cell=self._data["cell"][row],
            pbc=True,
        )
        atoms.info = {"name": name, **self._description(row)}
        if not self._is_magnetic(row) and atoms.numbers.sum() % 2 == 0:
            # Calculated without spin: also molecules whose ground state is none are closed shells.
            atoms.info["multiplicity"] = 1
        return atoms

    def symmetry(self, name: str) -> Symmetry:
        """Return the operations that a density is symmetric under."""
        part = self._part("noperations", self._row(name))
        return Symmetry(self._data["rotations"][part], self._data["translations"][part])

    def density(self, name: str) -> Density:
        """Return one density on its grid, e/Å^3; what is known of it in `metadata["calculation"]`.

        Raises:
            ConfigurationError: if there is none of that name.
        """
        with reported(self.path):
            return self._density(self._row(name), name)

    def _density(self, row: int, name: str) -> Density:
        part = self._part("nwaves", row)
        shape = tuple(int(n) for n in self._data["shape"][row])
        if min(shape) < 1 or math.prod(shape) > _MOST_POINTS:
            raise ValueError(f"a grid of {shape} points")
        symmetry, hkl = self.symmetry(name), self._data["hkl"][part]
        if (np.abs(hkl.astype(np.int64)) > np.array(shape) // 2).any():
            raise ValueError(f"a grid of {shape} points is too coarse for a wave")
        values = expand(shape, symmetry, hkl, self._waves("waves", part))
        spin = None
        if self._is_magnetic(row):
            magnetic = self._data["magnetic"]
            before = int(self._data["nwaves"][:row][magnetic[:row] != 0].sum())
            where = slice(before, before + len(hkl))
            spin = expand(shape, symmetry, hkl, self._waves("spin_waves", where))
        atoms = self.atoms(name)
        grid = Grid(atoms.cell.array, (shape[0], shape[1], shape[2]))
        metadata = {"calculation": self._description(row)}
        return Density(atoms, grid, values, spin=spin, level=self.level, metadata=metadata)

    def _is_magnetic(self, row: int) -> bool:
        magnetic = self._data.get("magnetic")
        return magnetic is not None and bool(magnetic[row])

    def _waves(self, kind: str, part: slice) -> NDArray[np.complex128]:
        waves = self._data[kind][part].astype(np.float64) * (UNIT / BOHR**3)
        result: NDArray[np.complex128] = waves[:, 0] + 1j * waves[:, 1]
        return result

    def _row(self, name: str) -> int:
        if name not in self.names:
            raise ConfigurationError(
                f"{self.path} has no density '{name}'.{did_you_mean(name, self.names)}"
            )
        return self.names.index(name)

    def _part(self, counts: str, row: int) -> slice:
        first = int(self._data[counts][:row].sum())
        return slice(first, first + int(self._data[counts][row]))

    def _description(self, row: int) -> dict[str, Any]:
        return {
            name: array[row].tolist()
            for name, array in self._data.items()
            if name not in _NOT_DESCRIBING
        }

    def _check(self) -> None:
        data, count = self._data, len(self)
        require_layout(data, _ARRAYS)
        if len(set(self.names)) < count:
            raise ValueError("two crystals have the same name")
        if not ((data["numbers"] > 0) & (data["numbers"] < len(chemical_symbols))).all():
            raise ValueError("an atomic number is that of no element")
        if (np.abs(np.linalg.det(data["rotations"].astype(np.float64))).round(6) != 1).any():
            raise ValueError("an operation is no rotation")
        if min(int(data[name].min(initial=0)) for name in ("natoms", "noperations", "nwaves")) < 0:
            raise ValueError("a count is negative")
        magnetic = data.get("magnetic", np.zeros(count)) != 0
        lengths = {
            "numbers": data["natoms"], "positions": data["natoms"],
            "rotations": data["noperations"], "translations": data["noperations"],
            "hkl": data["nwaves"], "waves": data["nwaves"],
        }  # fmt: skip
        if magnetic.any():
            lengths["spin_waves"] = data["nwaves"][magnetic]
        whole = all(
            name in data and len(data[name]) == int(counts.sum())
            for name, counts in lengths.items()
        ) and all(len(data[name]) == count for name in data if name not in {*lengths, "level"})
        if not whole:
            raise FileFormatError(
                f"{self.path} is damaged: its arrays do not have the lengths announced."
            )


def write_plane_waves(
    path: str | Path,
    densities: Sequence[Density],
    symmetries: Sequence[Symmetry] | None = None,
    *,
    cutoff: float,
) -> None:
    """Write crystals' densities to one archive.

    What `metadata["calculation"]` holds for all of them is kept.

    Args:
        path: the file, .npz.
        densities: of crystals with `atoms.info["name"]`, each on a grid over its cell.
        symmetries: operations of each; by default the identity alone.
        cutoff: largest |G| of a wave, 1/Å; what is beyond is left out.

    Raises:
        ConfigurationError: if there is nothing to write, names are missing or repeat, or a grid
            does not cover the cell from the origin on.
        LevelOfTheoryError: if the levels of theory differ.
    """
    if not densities:
        raise ConfigurationError(f"There is no density to write to {path}.")
    symmetries = symmetries or [Symmetry.none()] * len(densities)
    names = [str(density.atoms.info.get("name", "")) for density in densities]
    if len(set(names)) < len(names) or not all(names):
        raise ConfigurationError("Crystals of an archive need names, each its own.")
    shared = SharedLevel()
    hkl, waves, spin_waves = [], [], []
    for name, density, symmetry in zip(names, densities, symmetries, strict=True):
        shared.add(density.level, f"{name} cannot be added to {path}")
        if not Grid(density.atoms.cell.array, density.grid.shape).is_close(density.grid):
            raise ConfigurationError(f"The grid of {name} does not cover its cell.")
        cell = density.atoms.cell.array
        found, values = reduce(np.asarray(density.values), cell, symmetry, cutoff)
        hkl.append(found)
        waves.append(_integers(values))
        if density.spin is not None:
            spin_waves.append(_integers(reduce(density.spin, cell, symmetry, cutoff)[1]))
    arrays: dict[str, Any] = {
        "name": np.array(names),
        "shape": np.array([density.grid.shape for density in densities]),
        "cell": np.array([density.atoms.cell.array for density in densities]),
        "natoms": np.array([len(density.atoms) for density in densities]),
        "noperations": np.array([len(symmetry.rotations) for symmetry in symmetries]),
        "nwaves": np.array([len(found) for found in hkl]),
        "numbers": np.concatenate([d.atoms.numbers for d in densities]).astype(np.uint8),
        "positions": np.concatenate([density.atoms.positions for density in densities]),
        "rotations": np.concatenate([s.rotations for s in symmetries]).astype(np.int8),
        "translations": np.concatenate([symmetry.translations for symmetry in symmetries]),
        _STEPS: _steps(np.concatenate(hkl)),
        "waves": np.concatenate(waves),
        "magnetic": np.array([int(density.spin is not None) for density in densities]),
        "level": np.array(json.dumps(shared.level.to_dict())),
    }
    if spin_waves:
        arrays["spin_waves"] = np.concatenate(spin_waves)
    with AtomicFile(path) as file:
        _save(file, {**_descriptions(densities), **arrays})


def _save(file: BinaryIO, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays as `numpy.savez_compressed` does, a tenth smaller: column by column."""
    method = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w", method, compresslevel=9) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asarray(array, order="F"), allow_pickle=False)


def _steps(hkl: NDArray[np.int16]) -> NDArray[np.int16]:
    # What is too large for 16 bits wraps around, here and in the sums that undo it.
    return np.ascontiguousarray(np.diff(hkl, axis=0, prepend=np.int16(0)).T)


def _with_waves(data: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return arrays of an archive with `hkl` in place of its steps."""
    steps = data.pop(_STEPS, None)
    if steps is not None:
        require_layout({_STEPS: steps}, {_STEPS: (_WHOLE, (3, None))})
        if steps.dtype != np.int16:
            raise ValueError(f"'{_STEPS}' holds {steps.dtype}")
        data["hkl"] = np.cumsum(steps, axis=1, dtype=np.int16).T
    return data


def _integers(waves: NDArray[np.complex128]) -> NDArray[np.int32]:
    parts = np.stack((waves.real, waves.imag), axis=1) * (BOHR**3 / UNIT)
    return np.round(parts).astype(np.int32)


def _descriptions(densities: Sequence[Density]) -> dict[str, Any]:
    known = [density.metadata.get("calculation", {}) for density in densities]
    shared = set(known[0]).intersection(*known[1:]) - _NOT_DESCRIBING
    return {key: np.array([entry[key] for entry in known]) for key in sorted(shared)}
