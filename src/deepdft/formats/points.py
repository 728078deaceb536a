"""Densities at scattered points: HDF5 files of EAC-Net, sampled from CHGCAR files.

Layout: a group `chgcar_random` with `atom_pos` (1, n, 3) and `cell` (1, 3, 3) in Å, `atom_type`
(1, n), `probe_pos` (1, m, 3) in Å, `chg` (1, m) in e/Å^3 and perhaps `chgdiff` (1, m), up minus
down. The points are a random part of a grid, so they make no `Density`; they are references all
the same.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.errors import DeepDFTError, FileFormatError
from deepdft.extras import import_extra
from deepdft.formats.source import Source, find_source
from deepdft.levels import LevelOfTheory
from deepdft.storage.damage import reason_of

_HDF5 = b"\x89HDF\r\n\x1a\n"
GROUP = "chgcar_random"
_MOST_BYTES = 1 << 32


@dataclass(frozen=True)
class PointDensity:
    """A density at random points, uniform in the unit cell.

    Attributes:
        atoms: the structure.
        points: (n, 3) Å.
        values: (n,) e/Å^3.
        spin: None, or (n,) up minus down, e/Å^3.
        level: level of theory.
    """

    atoms: Atoms
    points: FloatArray
    values: FloatArray
    spin: FloatArray | None = None
    level: LevelOfTheory = field(default_factory=LevelOfTheory)

    @property
    def n_electrons(self) -> tuple[float, float]:
        """Integral over the cell as the points estimate it, and its standard error."""
        volume = float(self.atoms.get_volume())
        error = float(self.values.std()) / np.sqrt(max(1, len(self.values) - 1))
        return float(self.values.mean()) * volume, error * volume


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like values at points in HDF5."""
    return head.startswith(_HDF5) and GROUP.encode() in head


def refusal(path: str) -> FileFormatError:
    """Return the error for a file of points that was taken for a density on a grid."""
    return FileFormatError(
        f"{path} holds values at scattered points, not on a grid, so there is no density to write, "
        "compare or store; deepdft.formats.points.read_points gives points and values."
    )


def read_points(path: str | Path) -> PointDensity:
    """Read the structure, the points and the values of a file of EAC-Net.

    Raises:
        FileFormatError: if the file is missing, damaged or something else.
    """
    return _read(find_source(path))


def _read(source: Source) -> PointDensity:
    h5py = import_extra("h5py", "Reading an HDF5 file")

    if not sniff(source.head):
        raise FileFormatError(f"{source.path} does not hold values at points ({GROUP}).")
    try:
        with source.open() as raw:
            seekable = raw if source.codec is None else io.BytesIO(raw.read())
            with h5py.File(seekable, "r") as file:
                return _assemble(file[GROUP])
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
        raise FileFormatError(
            f"{source.path} is damaged, or not laid out as expected: {reason_of(error)}"
        ) from None
    except DeepDFTError as error:
        raise FileFormatError(f"{source.path}: {error}") from None


def _assemble(group: Any) -> PointDensity:
    values = _array(group, "chg").reshape(-1)
    points = _array(group, "probe_pos").reshape(-1, 3)
    numbers = _array(group, "atom_type").reshape(-1).astype(np.int64)
    positions = _array(group, "atom_pos").reshape(-1, 3)
    cell = _array(group, "cell").reshape(3, 3)
    spin = _array(group, "chgdiff").reshape(-1) if "chgdiff" in group else None
    if len({len(values), len(points), len(values if spin is None else spin)}) > 1:
        raise ValueError(f"{len(points)} points have {len(values)} values")
    if len(values) == 0 or len(numbers) != len(positions):
        raise ValueError(f"{len(values)} values, {len(numbers)} elements, {len(positions)} atoms")
    if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= 118:
        raise ValueError(f"there is no element {numbers.max()}")
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    return PointDensity(atoms, points, values, spin, LevelOfTheory(core="PAW", code="VASP"))


def _array(group: Any, name: str) -> NDArray[np.float64]:
    dataset = group[name]
    size = dataset.size * dataset.dtype.itemsize
    if size > min(_MOST_BYTES, 1100 * max(1, dataset.id.get_storage_size())):
        raise ValueError(f"{name} claims more values than the file holds")
    array = np.asarray(dataset[()], dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"a value of {name} is not finite")
    return array
