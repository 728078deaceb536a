"""Atomic density tables fitted to reference densities, for levels of theory that none ship for.

The superposition of one spherical function per element is fitted to densities on grids by linear
least squares. The functions are B-splines of degree five in the distance, with no slope at the
nucleus and no value, slope or curvature at the cutoff, so that the tables hold them exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers, chemical_symbols

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.levels import LevelOfTheory, SharedLevel

if TYPE_CHECKING:
    from scipy.interpolate import BSpline

DEGREE = 5
_CHUNK = 4096
"""Points whose distances are in memory at once."""


@dataclass(frozen=True)
class RadialBasis:
    """Smooth functions of the distance that vanish from the cutoff on.

    Their pieces meet at ``core sinh(u)``, u in equal steps, rounded to the tables' knots: evenly
    near the nucleus, further and further apart beyond.

    Attributes:
        cutoff: Å.
        count: number of pieces.
        spacing: of the tables' knots, Å.
        core: distance within which pieces are about as long as at the nucleus, Å.
    """

    cutoff: float = 4.5
    count: int = 20
    spacing: float = 0.0125
    core: float = 0.6

    @property
    def distances(self) -> FloatArray:
        """Distances of the tables' knots, the last one the cutoff."""
        steps = round(self.cutoff / self.spacing)
        return np.asarray(np.arange(steps + 1) * self.spacing, dtype=np.float64)

    @property
    def breakpoints(self) -> FloatArray:
        """Distances where the pieces of the splines meet, on knots of the tables."""
        end = np.arcsinh(self.distances[-1] / self.core)
        distances = self.core * np.sinh(np.linspace(0, end, self.count + 1))
        whole = np.unique(np.round(distances / self.spacing).astype(int))
        result: FloatArray = whole * self.spacing
        return result

    def functions(self) -> BSpline:
        """Return all functions as one vector-valued spline.

        The first two ordinary B-splines are added up, which leaves no slope at the nucleus; the
        last three, which do not vanish smoothly at the cutoff, are left out.
        """
        from scipy.interpolate import BSpline  # a plain prediction does without

        points = self.breakpoints
        knots = np.concatenate([[points[0]] * DEGREE, points, [points[-1]] * DEGREE])
        size = len(knots) - DEGREE - 1
        mapping = np.zeros((size, size - 4))
        mapping[0, 0] = 1
        mapping[np.arange(1, size - 3), np.arange(size - 4)] = 1
        return BSpline(knots, mapping, DEGREE, extrapolate=False)


def fit_tables(
    densities: Iterable[Density],
    elements: Iterable[str],
    level: LevelOfTheory,
    *,
    basis: RadialBasis | None = None,
    electrons: Mapping[str, float] | None = None,
    points: int = 4000,
    smoothing: float = 1e-6,
    seed: int = 0,
    source: str = "",
) -> AtomicDensityTables:
    """Fit one spherical density per element to reference densities.

    Minimises the mean over structures of the mean squared difference at random grid points, plus
    a small penalty on the roughness of each function.

    Args:
        densities: reference densities on grids, read one at a time.
        elements: chemical symbols to fit; the densities must have no others.
        level: level of theory of the densities.
        basis: the functions; by default 20 pieces up to 4.5 Å.
        electrons: integrals that elements must have (for example numbers of valence electrons, so
            that the superposition of a neutral structure has as many electrons as its density);
            those of other elements are whatever fits best, see `AtomicDensityTables.electrons`.
        points: grid points used of each density (all, if it has fewer).
        smoothing: weight of the penalty, in units of the largest diagonal element.
        seed: of the choice of points.
        source: what to write into the tables about their origin.

    Raises:
        ConfigurationError: if there are no densities, or an element is not in `elements` or in no
            density.
        LevelOfTheoryError: if a density is of another level of theory.
    """
    symbols = tuple(dict.fromkeys(elements))
    basis = basis or RadialBasis()
    functions = basis.functions()
    size = functions.c.shape[1]
    normal = np.zeros((len(symbols) * size,) * 2)
    right = np.zeros(len(symbols) * size)
    generator = np.random.default_rng(seed)
    present: set[str] = set()
    shared = SharedLevel(level)
    for density in densities:
        shared.add(density.level, "Atomic densities cannot be fitted to both")
        present |= _check_elements(density.atoms, symbols)
        chosen = _sample(density, points, generator)
        a = _design(density.atoms, symbols, functions, basis.distances[-1], chosen[0])
        normal += a.T @ a / len(a)
        right += a.T @ chosen[1] / len(a)
    if set(symbols) - present:
        raise ConfigurationError(
            f"There is no density with {', '.join(sorted(set(symbols) - present))} to fit to."
        )
    normal += smoothing * normal.diagonal().max() * _roughness(len(symbols), size)
    coefficients = _solve(normal, right, *_constraints(symbols, functions, basis, electrons))
    return tables_of(symbols, coefficients, basis, level, source)


def tables_of(
    symbols: Sequence[str],
    coefficients: FloatArray,
    basis: RadialBasis,
    level: LevelOfTheory,
    source: str = "",
) -> AtomicDensityTables:
    """Return the tables of combinations of a basis's functions.

    Args:
        symbols: chemical symbols.
        coefficients: (elements, functions), or the same in one row.
        basis: the functions.
        level: level of theory of the tables.
        source: how the tables were made.
    """
    knots = _knots(basis.functions(), coefficients, basis)
    return AtomicDensityTables(tuple(symbols), knots, basis.spacing, level, source)


def _check_elements(atoms: Atoms, symbols: tuple[str, ...]) -> set[str]:
    found = set(atoms.get_chemical_symbols())
    if found - set(symbols):
        raise ConfigurationError(
            f"A density has {', '.join(sorted(found - set(symbols)))}, which is not to be fitted."
        )
    return found


def _sample(
    density: Density, count: int, generator: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    grid = density.grid
    count = min(count, grid.n_points)
    flat = np.sort(generator.choice(grid.n_points, size=count, replace=False))
    scaled = np.stack(np.unravel_index(flat, grid.shape), axis=1) / np.array(grid.shape)
    return grid.origin + scaled @ grid.cell, np.asarray(density.values, np.float64).ravel()[flat]


def _design(
    atoms: Atoms, symbols: tuple[str, ...], functions: BSpline, cutoff: float, points: FloatArray
) -> FloatArray:
    """Return (points, elements * functions): sums of each function over an element's images."""
    images = images_in_reach(
        atoms.positions,
        atoms.cell.array,
        atoms.pbc,
        points.min(axis=0),
        points.max(axis=0),
        cutoff,
    )
    numbers = atoms.numbers[images.atoms]
    result = np.zeros((len(points), len(symbols), functions.c.shape[1]))
    for first in range(0, len(points), _CHUNK):
        part = points[first : first + _CHUNK]
        for column, symbol in enumerate(symbols):
            centres = images.positions[numbers == atomic_numbers[symbol]]
            distances = np.sqrt(((part[:, None] - centres[None]) ** 2).sum(axis=-1))
            row, image = np.nonzero(distances < cutoff)
            values = functions(distances[row, image])
            np.add.at(result[first : first + _CHUNK, column], row, values)
    return result.reshape(len(points), -1)


def _roughness(elements: int, size: int) -> FloatArray:
    second = np.diff(np.eye(size), n=2, axis=0)
    return np.asarray(np.kron(np.eye(elements), second.T @ second), dtype=np.float64)


def _constraints(
    symbols: tuple[str, ...],
    functions: BSpline,
    basis: RadialBasis,
    electrons: Mapping[str, float] | None,
) -> tuple[FloatArray, FloatArray]:
    wanted = dict(electrons or {})
    unknown = set(wanted) - set(symbols)
    if unknown:
        raise ConfigurationError(f"{', '.join(sorted(unknown))} is not fitted.")
    nodes, weights = np.polynomial.legendre.leggauss(8)
    left, right = basis.breakpoints[:-1, None], basis.breakpoints[1:, None]
    radii = (left + (right - left) * (nodes + 1) / 2).ravel()
    volume = (4 * np.pi * radii**2) * ((right - left) / 2 * weights).ravel()
    integrals = volume @ functions(radii)
    rows = np.zeros((len(wanted), len(symbols), len(integrals)))
    for row, symbol in enumerate(wanted):
        rows[row, symbols.index(symbol)] = integrals
    flat = rows.reshape(len(wanted), len(symbols) * len(integrals))
    return flat, np.array(list(wanted.values()), dtype=np.float64)


def _solve(
    normal: FloatArray, right: FloatArray, rows: FloatArray, values: FloatArray
) -> FloatArray:
    """Return the least-squares solution with ``rows @ x = values`` (Lagrange multipliers)."""
    if len(rows) == 0:
        return np.asarray(np.linalg.lstsq(normal, right, rcond=1e-13)[0])
    # Rows of a size like the rest keep the indefinite system well conditioned.
    scale = np.abs(normal).max() / np.abs(rows).max()
    matrix = np.block([[normal, scale * rows.T], [scale * rows, np.zeros((len(rows),) * 2)]])
    solution = np.linalg.lstsq(matrix, np.concatenate([right, scale * values]), rcond=1e-13)[0]
    return np.asarray(solution[: len(right)])


def _knots(functions: BSpline, coefficients: FloatArray, basis: RadialBasis) -> FloatArray:
    """Return value, slope and curvature at the tables' knots, (elements, knots, 3)."""
    by_element = coefficients.reshape(-1, functions.c.shape[1])
    distances = basis.distances
    inside = np.minimum(distances, np.nextafter(distances[-1], 0))
    parts = [functions.derivative(n)(inside) if n else functions(inside) for n in range(3)]
    knots: FloatArray = np.einsum("nkf,ef->ekn", np.array(parts), by_element)
    knots[:, -1] = 0
    return knots


def symbols_of(atoms: Iterable[Atoms]) -> list[str]:
    """Return the chemical symbols that occur, by atomic number."""
    return [chemical_symbols[z] for z in sorted({int(z) for a in atoms for z in a.numbers})]
