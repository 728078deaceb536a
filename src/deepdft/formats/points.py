"""Densities at scattered points: HDF5 files of EAC-Net, sampled from CHGCAR files.

Layout: a group `chgcar_random` with `atom_pos` (1, n, 3) and `cell` (1, 3, 3) in Å, `atom_type`
(1, n), `probe_pos` (1, m, 3) in Å, `chg` (1, m) in e/Å^3 and perhaps `chgdiff` (1, m), up minus
down. The points are a random part of a grid, so they make no `Density`; they are references all
the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.errors import FileFormatError
from deepdft.formats import hdf5
from deepdft.formats.source import Source, find_source
from deepdft.levels import LevelOfTheory

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
    return hdf5.sniff(head) and hdf5.POINTS.encode() in head


def read_points(path: str | Path) -> PointDensity:
    """Read the structure, the points and the values of a file of EAC-Net.

    Raises:
        FileFormatError: if the file is missing, damaged or something else.
    """
    return _read(find_source(path))


def _read(source: Source) -> PointDensity:
    if not sniff(source.head):
        raise FileFormatError(f"{source.path} does not hold values at points ({hdf5.POINTS}).")
    with hdf5.opened(source) as file:
        return _assemble(source, file[hdf5.POINTS])


def _assemble(source: Source, group: Any) -> PointDensity:
    values = _array(source, group, "chg").reshape(-1)
    points = _array(source, group, "probe_pos").reshape(-1, 3)
    numbers = _array(source, group, "atom_type").reshape(-1).astype(np.int64)
    positions = _array(source, group, "atom_pos").reshape(-1, 3)
    cell = _array(source, group, "cell").reshape(3, 3)
    spin = _array(source, group, "chgdiff").reshape(-1) if "chgdiff" in group else None
    if len({len(values), len(points), len(values if spin is None else spin)}) > 1:
        raise ValueError(f"{len(points)} points have {len(values)} values")
    if len(values) == 0 or len(numbers) != len(positions):
        raise ValueError(f"{len(values)} values, {len(numbers)} elements, {len(positions)} atoms")
    if len(numbers) and not 1 <= numbers.min() <= numbers.max() <= 118:
        raise ValueError(f"there is no element {numbers.max()}")
    atoms = Atoms(numbers=numbers, positions=positions, cell=cell, pbc=True)
    return PointDensity(atoms, points, values, spin, LevelOfTheory(core="PAW", code="VASP"))


def _array(source: Source, group: Any, name: str) -> NDArray[np.float64]:
    dataset = hdf5.dataset(source, group, name)
    if dataset.size * dataset.dtype.itemsize > _MOST_BYTES:
        raise ValueError(f"{name} is larger than {_MOST_BYTES >> 30} GiB")
    array = np.asarray(dataset[()], dtype=np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"a value of {name} is not finite")
    return array
