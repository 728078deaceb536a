"""Quantum ESPRESSO's densities in a save folder: charge-density.dat and charge-density.hdf5.

Layout (io_base.f90 of Quantum ESPRESSO, 6.4 and later): Fourier coefficients in e/bohr^3 and their
Miller indices; of calculations at the Gamma point one of each pair G, -G. One component, the
density; two, with up minus down; or four, with the magnetisation. `.dat` has unformatted Fortran
records: whether half is there, the counts of plane waves and components; the reciprocal lattice
(1/bohr); the indices; a record a component. `.hdf5` has the same as datasets. The structure and
the grid are in the data-file-schema.xml beside.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.density import Density, Grid
from deepdft.errors import FileFormatError
from deepdft.formats import hdf5
from deepdft.formats.fortran_records import FortranRecords
from deepdft.formats.interpretation import Interpretation
from deepdft.formats.plane_waves import PlaneWaves
from deepdft.formats.quantities import QUANTITIES, find_quantity
from deepdft.formats.quantum_espresso_schema import NAME, Calculation, read_calculation
from deepdft.formats.source import Source
from deepdft.formats.structure_file import read_structure
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

_LARGEST = 1e300
"""e/bohr^3. No value of a density is larger than the sum of its coefficients."""

_POINTS_A_WAVE = 200
_MOST_POINTS = 100_000
"""Points of a grid for each plane wave (usual: 5), and besides, beyond which it makes no sense."""
_COMPONENTS = ("rhotot_g", "m_x", "m_y", "m_z")
_DIFFERENCE = "rhodiff_g"


@dataclass(frozen=True)
class Stored:
    """What such a file holds: plane waves, and the cell in Å where it says it."""

    waves: PlaneWaves
    cell: FloatArray | None


def sniff(head: bytes) -> bool:
    """Return whether the first bytes of a file look like a charge-density.dat."""
    return _byte_order(head) is not None


def _byte_order(head: bytes) -> str | None:
    for order in "<>":
        if len(head) >= 24:
            mark, half, count, components, end, following = struct.unpack_from(f"{order}6i", head)
            if (mark, end, following) == (12, 12, 72) and count > 0 and components in (1, 2, 4):
                return order if half in (-1, 0, 1) else None
    return None


def read(source: Source, *, quantity: str | None = None, structure: str | None = None) -> Density:
    """Read the density of a save folder.

    Args:
        source: the file.
        quantity: what the values are, if not a density; see `deepdft.formats.quantities`.
        structure: file with the atoms, any that ASE reads; instead of data-file-schema.xml.

    Raises:
        FileFormatError: if the file is damaged, or in the layout of older versions.
    """
    kind = QUANTITIES["density"] if quantity is None else find_quantity(quantity)
    stored = read_plane_waves(source)
    notes: list[str] = []
    known = _calculation_beside(source)
    if structure is not None:
        atoms = read_structure(structure)
        cell = stored.cell if stored.cell is not None else np.asarray(atoms.cell)
    elif known is not None:
        atoms, cell = known.atoms, np.asarray(known.atoms.cell)
        notes.append(
            f"The structure was taken from {NAME}; it names {known.electrons:g} electrons."
        )
    else:
        raise FileFormatError(
            f"{source.path} is a density of Quantum ESPRESSO, whose structure is in {NAME}; that "
            "is not beside it (leave the file in its save folder, or pass structure=FILE)."
        )
    if stored.cell is not None and not np.allclose(stored.cell, cell, rtol=0, atol=1e-3):
        raise FileFormatError(f"{source.path} is of another cell than the structure beside it.")
    shape = stored.waves.smallest_shape
    if known is not None and _is_grid_of(stored.waves, known.shape):
        shape = known.shape
    values = [stored.waves.on_grid(i, shape) for i in range(len(stored.waves.coefficients))]
    spin = None if len(values) == 1 else values[1] if len(values) == 2 else np.stack(values[1:])
    interpretation = Interpretation(
        path=source.path,
        quantity=kind,
        unit="e/bohr^3",
        pbc=[True] * 3,
        level=LevelOfTheory(code="Quantum ESPRESSO") if known is None else known.level,
        notes=notes,
    )
    return interpretation.density(atoms, Grid(cell, shape), values[0], spin)


def _is_grid_of(waves: PlaneWaves, shape: tuple[int, int, int]) -> bool:
    """Return whether a grid represents all plane waves and is not absurdly fine."""
    points = shape[0] * shape[1] * shape[2]
    return waves.fits(shape) and points <= _MOST_POINTS + _POINTS_A_WAVE * len(waves.indices)


def _calculation_beside(source: Source) -> Calculation | None:
    path = os.path.join(os.path.dirname(source.local), NAME)
    return read_calculation(path) if os.path.exists(path) else None


def read_plane_waves(source: Source) -> Stored:
    """Read the plane waves of a charge-density.dat or charge-density.hdf5.

    Raises:
        FileFormatError: if the file is damaged.
    """
    stored = _read_hdf5(source) if hdf5.sniff(source.head) else _read_records(source)
    waves = stored.waves
    with np.errstate(over="ignore", invalid="ignore"):
        bounds = np.abs(waves.coefficients).sum(axis=1)
    if not (bounds < _LARGEST).all():
        raise _damaged(source, "coefficients are too large, or not finite")
    largest = np.abs(waves.indices).max(axis=0).astype(object)
    if np.prod(2 * largest + 1) > _MOST_POINTS + _POINTS_A_WAVE * len(waves.indices):
        raise _damaged(source, f"its Miller indices go up to {largest.tolist()}")
    return stored


def _damaged(source: Source, reason: str) -> FileFormatError:
    return FileFormatError(
        f"{source.path} is not a density of Quantum ESPRESSO 6.4 or later, or it is damaged: "
        f"{reason}."
    )


def _read_records(source: Source) -> Stored:
    order = _byte_order(source.head)
    if order is None:
        raise _damaged(source, "the first record does not count plane waves and components")
    with source.open() as file:
        records = FortranRecords(file, order, lambda reason: _damaged(source, reason))
        half, count, components = struct.unpack(f"{order}3i", records.read(12))
        reciprocal = np.frombuffer(records.read(72), f"{order}f8").reshape(3, 3)
        indices = np.frombuffer(records.read(12 * count), f"{order}i4").reshape(-1, 3)
        rows = [np.frombuffer(records.read(16 * count), f"{order}c16") for _ in range(components)]
    waves = PlaneWaves(half != 0, indices.astype(np.int64), np.array(rows, dtype=np.complex128))
    return Stored(waves, _cell(source, reciprocal))


def _read_hdf5(source: Source) -> Stored:
    with hdf5.opened(source) as file:
        table = hdf5.dataset(source, file, "MillerIndices")
        names = [_DIFFERENCE if _DIFFERENCE in file else _COMPONENTS[1], *_COMPONENTS[2:]]
        names = [_COMPONENTS[0], *(name for name in names if name in file)]
        rows = [np.asarray(hdf5.dataset(source, file, name)[()], np.float64) for name in names]
        indices = np.asarray(table[()], dtype=np.int64)
        half = "t" in str(file.attrs.get("gamma_only", "")).lower().strip("b'. \"")[:1]
        vectors = [table.attrs.get(f"bg{i}") for i in (1, 2, 3)]
    if indices.ndim != 2 or indices.shape[1] != 3 or len(rows) not in (1, 2, 4):
        raise _damaged(source, f"Miller indices of shape {indices.shape}, {len(rows)} components")
    if any(row.shape != (2 * len(indices),) for row in rows) or len(indices) == 0:
        raise _damaged(source, "the counts of coefficients and Miller indices do not match")
    coefficients = np.array([row.view(np.complex128) for row in rows])
    cell = None
    if all(np.shape(vector) == (3,) for vector in vectors):
        cell = _cell(source, np.array(vectors, dtype=np.float64))
    return Stored(PlaneWaves(half, indices, coefficients), cell)


def _cell(source: Source, reciprocal: FloatArray) -> FloatArray:
    """Return the cell, rows in Å, of a reciprocal lattice, rows in 1/bohr."""
    if not np.isfinite(reciprocal).all() or abs(np.linalg.det(reciprocal)) < 1e-12:
        raise _damaged(source, "its reciprocal lattice spans no cell")
    return np.asarray(2 * np.pi * np.linalg.inv(reciprocal).T * BOHR, dtype=np.float64)
