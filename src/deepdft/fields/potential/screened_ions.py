"""Ions together with a spherical cloud of electrons that makes each neutral: no far potential.

Their potential ends where the cloud does, and is known exactly from a table. What is left of a
density, its difference to the clouds, is smooth and small, and a grid treats it well.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray
from deepdft.compilation import compiled
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.field import Derivatives, Order
from deepdft.fields.potential.poisson import COULOMB
from deepdft.fields.walk import BlockField
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.levels import LevelOfTheory
from deepdft.threads import available_threads, run_in_threads

NEAREST = 0.01
"""Å. Nearer to a nucleus, the potential is that at this distance."""

_BLOCK_POINTS = 512
_SPACING = 0.0125
_GAUSSIAN_END = 5.5
"""Lengths 1/a after which exp(-a^2 r^2) has vanished."""


class ScreenedIons(BlockField):
    """The potential of point charges with clouds that screen them, V: a `Field` of order 0.

    Args:
        atoms: the structure.
        core_charges: (atoms,) charges of the ions, e, one for each element.
        tables: densities of the clouds, or None for Gaussians. Where a cloud has more or fewer
            electrons than its ion, a Gaussian makes up for it.
        sharpness: a of the Gaussians exp(-a^2 r^2), 1/Å.
        threads: CPU threads; default: all that this process may use.

    Attributes:
        clouds: densities of the clouds, with the Gaussians.

    Raises:
        ConfigurationError: if atoms of one element have different charges.
    """

    def __init__(
        self, atoms: Atoms, core_charges: ArrayLike, tables: AtomicDensityTables | None,
        sharpness: float, threads: int | None = None,
    ) -> None:  # fmt: skip
        charges = _charges_by_element(atoms, np.asarray(core_charges, dtype=np.float64))
        self.clouds = _clouds(charges, tables, sharpness)
        screened = _screened_charges(self.clouds, charges)
        self._species = screened._species(atoms.numbers)
        self._polynomials, self._spacing = screened._polynomials, screened.spacing
        volumes = dict(zip(screened.elements, _volume_integrals(screened), strict=True))
        self.total = float(sum(volumes[symbol] for symbol in atoms.symbols))
        """Integral of the potential over all space, V Å^3."""
        run = partial(run_in_threads, threads=threads or available_threads())
        super().__init__(atoms, LevelOfTheory(), screened.cutoff, run, [_BLOCK_POINTS])

    def block(
        self, points: FloatArray, search: NeighbourhoodSearch, order: Order
    ) -> FloatArray | Derivatives:
        """Return the values at points (n, 3), Å, that lie near each other."""
        result = np.zeros(len(points))
        images, positions = search.near_points(points)
        _add(
            result, points, self._species, images, positions, self._polynomials, self._spacing,
            COULOMB, NEAREST,
        )  # fmt: skip
        return result


def _charges_by_element(atoms: Atoms, charges: FloatArray) -> dict[str, float]:
    found: dict[str, float] = {}
    for symbol, charge in zip(atoms.symbols, charges, strict=True):
        if found.setdefault(symbol, float(charge)) != charge:
            raise ConfigurationError(f"The ions of {symbol} have different charges.")
    return found


def _clouds(
    charges: dict[str, float], tables: AtomicDensityTables | None, sharpness: float
) -> AtomicDensityTables:
    """Return tables of clouds that hold as many electrons as the ions have charges."""
    symbols = tuple(charges)
    if tables is None:
        count = int(np.ceil(_GAUSSIAN_END / sharpness / _SPACING)) + 1
        knots, spacing = np.zeros((len(symbols), count, 3)), _SPACING
        missing = list(charges.values())
    else:
        tables = tables.of_elements(symbols)
        symbols, knots, spacing = tables.elements, tables.knots.copy(), tables.spacing
        missing = [charges[symbol] - tables.electrons(symbol) for symbol in symbols]
    distances = np.arange(knots.shape[1]) * spacing
    square = sharpness**2
    value = (square / np.pi) ** 1.5 * np.exp(-square * distances**2)
    gaussian = np.stack(
        [
            value,
            -2 * square * distances * value,
            (4 * square**2 * distances**2 - 2 * square) * value,
        ]
    ).T
    gaussian[-1] = 0.0
    unit = AtomicDensityTables(("H",), gaussian[None], spacing)
    gaussian = gaussian / unit.electrons("H")
    for row, charge in enumerate(missing):
        knots[row] += charge * gaussian
    return AtomicDensityTables(symbols, knots, spacing)


def _screened_charges(
    clouds: AtomicDensityTables, charges: dict[str, float]
) -> AtomicDensityTables:
    """Return tables of r times the potential, in elementary charges.

    With the cloud's density rho: Z - N(<r) - r integral_r 4 pi s rho(s) ds. Its slope is minus that
    integral, its curvature 4 pi r rho(r).
    """
    spacing = clouds.spacing
    distances = np.arange(clouds.knots.shape[1]) * spacing
    nodes, weights = np.polynomial.legendre.leggauss(6)
    t = (nodes + 1) / 2
    radii = distances[:-1, None] + t * spacing
    result = np.zeros_like(clouds.knots)
    for row, symbol in enumerate(clouds.elements):
        density = clouds.radial(symbol, radii) * (4 * np.pi * spacing / 2 * weights)
        within = np.concatenate([[0.0], np.cumsum((density * radii**2).sum(axis=1))])
        shells = (density * radii).sum(axis=1)
        beyond = np.concatenate([np.cumsum(shells[::-1])[::-1], [0.0]])
        result[row, :, 0] = charges[symbol] - within - distances * beyond
        result[row, :, 1] = -beyond
        result[row, :, 2] = 4 * np.pi * distances * clouds.knots[row, :, 0]
    result[:, -1] = 0.0
    return replace(clouds, knots=result)


def _volume_integrals(screened: AtomicDensityTables) -> list[float]:
    """Return the integral of each species' potential over all space, V Å^3."""
    distances = np.arange(screened.knots.shape[1]) * screened.spacing
    nodes, weights = np.polynomial.legendre.leggauss(6)
    radii = distances[:-1, None] + (nodes + 1) / 2 * screened.spacing
    scale = 4 * np.pi * COULOMB * screened.spacing / 2
    return [
        scale * float((screened.radial(symbol, radii) * radii * weights).sum())
        for symbol in screened.elements
    ]


@compiled
def _add(
    result: Any, points: Any, species: Any, image_atoms: Any, image_positions: Any,
    polynomials: Any, spacing: float, coulomb: float, nearest: float,
) -> None:  # fmt: skip
    intervals = polynomials.shape[1]
    limit = (spacing * intervals) ** 2
    for p in range(points.shape[0]):
        for a in range(len(image_atoms)):
            square = 0.0
            for i in range(3):
                square += (points[p, i] - image_positions[a, i]) ** 2
            if square >= limit:
                continue
            distance = max(np.sqrt(square), nearest)
            scaled = distance / spacing
            interval = min(np.int64(scaled), intervals - 1)
            t = scaled - interval
            c = polynomials[species[image_atoms[a]], interval]
            value = c[0] + t * (c[1] + t * (c[2] + t * (c[3] + t * (c[4] + t * c[5]))))
            result[p] += coulomb * value / distance
