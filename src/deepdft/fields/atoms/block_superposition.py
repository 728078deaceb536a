"""Superposed atomic densities at a block of points, from images that are already known."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import compiled
from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.geometry.neighbours import ON_NUCLEUS


class BlockSuperposition:
    """The superposition of one structure's atoms, block by block.

    Args:
        tables: spherical densities of the elements.
        atoms: the structure.
        amplitudes: (atoms,) what each atom's function is multiplied with; by default nothing.

    Raises:
        UnsupportedStructureError: if an element has no table.
    """

    def __init__(
        self, tables: AtomicDensityTables, atoms: Atoms, amplitudes: FloatArray | None = None
    ) -> None:
        self._amplitudes = amplitudes
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
            self._intervals, self._spacing, self._amplitudes,
        )  # fmt: skip

    def add_derivatives_to(
        self, density: FloatArray, gradient: FloatArray, hessian: FloatArray | None,
        points: FloatArray, image_atoms: IntegerArray, image_positions: FloatArray,
    ) -> None:  # fmt: skip
        """Add density and derivatives of image atoms.

        At a nucleus a table's slope counts as zero, which it is for pseudopotentials.

        Args:
            density: (n,) e/Å^3, changed in place.
            gradient: (n, 3) e/Å^4, changed in place.
            hessian: (n, 3, 3) e/Å^5, changed in place, or None.
            points, image_atoms, image_positions: as of `add_to`.
        """
        _add_derivatives(
            density, gradient, np.empty((0, 3, 3)) if hessian is None else hessian, points,
            self._species, image_atoms, image_positions, self._polynomials, self._intervals,
            self._spacing, self._amplitudes,
        )  # fmt: skip


@compiled
def _add_derivatives(
    density: Any, gradient: Any, hessian: Any, points: Any, species: Any, image_atoms: Any,
    image_positions: Any, polynomials: Any, intervals: int, spacing: float, amplitudes: Any,
) -> None:  # fmt: skip
    inverse = 1.0 / spacing
    limit = (spacing * intervals) ** 2
    x = np.empty(3)
    for p in range(points.shape[0]):
        for a in range(len(image_atoms)):
            square = 0.0
            for i in range(3):
                x[i] = points[p, i] - image_positions[a, i]
                square += x[i] * x[i]
            if square >= limit:
                continue
            distance = np.sqrt(square)
            scaled = distance * inverse
            interval = min(np.int64(scaled), intervals - 1)
            t = scaled - interval
            c = 6 * (species[image_atoms[a]] * intervals + interval)
            value = slope = curvature = 0.0
            for power in range(5, -1, -1):
                curvature = curvature * t + 2.0 * slope
                slope = slope * t + value
                value = value * t + polynomials[c + power]
            slope *= inverse
            curvature *= inverse * inverse
            if amplitudes is not None:
                factor = amplitudes[image_atoms[a]]
                value, slope, curvature = value * factor, slope * factor, curvature * factor
            # Slope by distance, or its limit.
            across = slope / distance if distance >= ON_NUCLEUS else curvature
            along = (curvature - across) / square if distance >= ON_NUCLEUS else 0.0
            density[p] += value
            for i in range(3):
                gradient[p, i] += across * x[i]
            for i in range(3 * (len(hessian) > 0)):
                hessian[p, i, i] += across
                for j in range(3):
                    hessian[p, i, j] += along * x[i] * x[j]


@compiled
def _add(
    result: Any, points: Any, species: Any, image_atoms: Any, image_positions: Any,
    polynomials: Any, intervals: int, spacing: float, amplitudes: Any,
) -> None:  # fmt: skip
    m = len(image_atoms)
    # x, y, z and squared distance of the images; then what is in reach of one point.
    images = np.empty(4 * m)
    tables = np.empty(m, np.int64)
    near = np.empty(m)
    near_tables = np.empty(m, np.int64)
    # The compiler leaves out what concerns amplitudes where there are none.
    factors = np.empty(0 if amplitudes is None else m)
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
            if amplitudes is not None:
                factors[count] = amplitudes[image_atoms[a]]
            count += images[3 * m + a] < limit
        for a in range(count):
            near[a] = np.sqrt(near[a]) * inverse
        total = 0.0
        for a in range(count):
            interval = min(np.int64(near[a]), intervals - 1)
            t = near[a] - interval
            c = 6 * (near_tables[a] + interval)
            value = polynomials[c] + t * (
                polynomials[c + 1] + t * (
                    polynomials[c + 2] + t * (
                        polynomials[c + 3] + t * (polynomials[c + 4] + t * polynomials[c + 5])
                    )
                )
            )  # fmt: skip
            if amplitudes is not None:
                value *= factors[a]
            total += value
        result[p] += total
