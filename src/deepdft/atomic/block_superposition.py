"""Superposed atomic densities at a block of points, from images that are already known."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.atomic.tables import AtomicDensityTables

FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]


class BlockSuperposition:
    """The superposition of one structure's atoms, block by block.

    Args:
        tables: spherical densities of the elements.
        atoms: the structure.

    Raises:
        UnsupportedStructureError: if an element has no table.
    """

    def __init__(self, tables: AtomicDensityTables, atoms: Atoms) -> None:
        self._species = tables._species(atoms.numbers)
        polynomials = tables._polynomials
        self._polynomials = polynomials.reshape(-1)
        self._intervals = polynomials.shape[1]
        self._spacing = tables.spacing

    def add_to(
        self, result: FloatArray, points: FloatArray, image_atoms: IntegerArray,
        image_positions: FloatArray,
    ) -> None:  # fmt: skip
        """Add the density of image atoms to `result`.

        Args:
            result: (n,) e/Å^3, changed in place.
            points: (n, 3) Å.
            image_atoms: (m,) atom that each image belongs to.
            image_positions: (m, 3) Å.
        """
        _add(
            result, points, self._species, image_atoms, image_positions, self._polynomials,
            self._intervals, self._spacing,
        )  # fmt: skip


@numba.njit(nogil=True, cache=True, error_model="numpy")
def _add(
    result: Any, points: Any, species: Any, image_atoms: Any, image_positions: Any,
    polynomials: Any, intervals: int, spacing: float,
) -> None:  # fmt: skip
    m = len(image_atoms)
    # x, y, z and squared distance of the images; then what is in reach of one point.
    images = np.empty(4 * m)
    tables = np.empty(m, np.int64)
    near = np.empty(m)
    near_tables = np.empty(m, np.int64)
    for a in range(m):
        for i in range(3):
            images[i * m + a] = image_positions[a, i]
        tables[a] = species[image_atoms[a]] * intervals
    inverse = 1.0 / spacing
    limit = (spacing * intervals) ** 2
    for p in range(points.shape[0]):
        x, y, z = points[p, 0], points[p, 1], points[p, 2]
        for a in range(m):
            dx, dy, dz = images[a] - x, images[m + a] - y, images[2 * m + a] - z
            images[3 * m + a] = dx * dx + dy * dy + dz * dz
        count = 0
        for a in range(m):
            near[count] = images[3 * m + a]
            near_tables[count] = tables[a]
            count += images[3 * m + a] < limit
        for a in range(count):
            near[a] = np.sqrt(near[a]) * inverse
        total = 0.0
        for a in range(count):
            interval = min(np.int64(near[a]), intervals - 1)
            t = near[a] - interval
            c = 6 * (near_tables[a] + interval)
            total += polynomials[c] + t * (
                polynomials[c + 1] + t * (
                    polynomials[c + 2] + t * (
                        polynomials[c + 3] + t * (polynomials[c + 4] + t * polynomials[c + 5])
                    )
                )
            )  # fmt: skip
        result[p] += total
