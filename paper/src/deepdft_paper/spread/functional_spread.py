"""Equation (8): how far the densities of different functionals lie apart.

    eps_mad = ∫ (1/K) sum_k |rho_k - rho_median| / ∫ |rho_1|

over K functionals, the median taken at every point: DFT's own uncertainty, to be held against a
model's error eps_mae. rho_1 only sets the number of electrons.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.data.dataset import EVALUATION_MARGIN, EVALUATION_SPACING
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.field import OnBoxes
from deepdft.fields.orbitals import OrbitalDensity
from deepdft.fields.walk import slabs
from deepdft.threads import available_threads

_SLAB_POINTS = 1 << 18
"""Points of the grid taken at once, for each density."""


@dataclass(frozen=True)
class Spread:
    """Deviations of several functionals' densities of one molecule, fractions of its electrons.

    Attributes:
        points: grid points.
        electrons: integral of rho_1 over the grid.
        eps_mad: equation (8) for every set of functionals that was asked for.
        deviations: integral of |rho_k - rho_median| over that of rho_1 for each functional, the
            median that of the first set.
        eps_mae: integral of |rho_1 - prediction| over that of rho_1, for each prediction.
    """

    points: int
    electrons: float
    eps_mad: dict[str, float]
    deviations: dict[str, float]
    eps_mae: dict[str, float] = field(default_factory=dict)


def functional_spread(
    densities: Mapping[str, OrbitalDensity],
    first: str,
    sets: Mapping[str, Sequence[str]],
    *,
    predictions: Mapping[str, OnBoxes] | None = None,
    spacing: float = EVALUATION_SPACING,
    margin: float = EVALUATION_MARGIN,
) -> Spread:
    """Integrate equation (8) on the grid that models are evaluated on.

    Args:
        densities: of one molecule in one basis, by functional.
        first: the functional of rho_1, which predictions are compared with as well.
        sets: names of sets of functionals; the median and the mean are over each set.
        predictions: what is evaluated beside, by name.
        spacing: of the grid, Å.
        margin: reach of the grid beyond the nuclei, Å.

    Raises:
        ConfigurationError: if the densities are not of one molecule in one basis.
    """
    names = list(densities)
    stacked, occupations = _stack(list(densities.values()))
    grid = Grid.around(stacked.atoms, spacing, margin)
    rows = {name: [names.index(functional) for functional in of] for name, of in sets.items()}
    sums = {name: np.zeros(len(members)) for name, members in rows.items()}
    errors = dict.fromkeys(predictions or {}, 0.0)
    norm = 0.0
    for start, stop in slabs(grid, points=_SLAB_POINTS):
        values = stacked.boxes(
            grid, start, stop, occupations, dtype=np.float32, threads=available_threads()
        )
        reference = values[names.index(first)]
        norm += float(np.abs(reference).sum(dtype=np.float64))
        for name, members in rows.items():
            sums[name] += _distances_from_median(values[members])
        for name, prediction in (predictions or {}).items():
            predicted = prediction.box(grid, start, stop)
            errors[name] += float(np.abs(predicted - reference).sum(dtype=np.float64))
    main = next(iter(sets))
    return Spread(
        grid.n_points,
        norm * grid.voxel_volume,
        {name: float(total.mean()) / norm for name, total in sums.items()},
        {
            functional: float(total) / norm
            for functional, total in zip(sets[main], sums[main], strict=True)
        },
        {name: error / norm for name, error in errors.items()},
    )


def prediction_error(
    density: OrbitalDensity,
    predictions: Mapping[str, OnBoxes],
    *,
    spacing: float = EVALUATION_SPACING,
    margin: float = EVALUATION_MARGIN,
) -> dict[str, float]:
    """Return eps_mae of each prediction, as `functional_spread` does with this rho_1."""
    return functional_spread(
        {"": density}, "", {"": [""]}, predictions=predictions, spacing=spacing, margin=margin
    ).eps_mae


def _distances_from_median(values: NDArray[np.float32]) -> FloatArray:
    """Return the sum over points of |rho_k - median| for densities (K, ...), shape (K,)."""
    distance = np.abs(values - np.median(values, axis=0))
    result: FloatArray = distance.reshape(len(values), -1).sum(axis=1, dtype=np.float64)
    return result


def _stack(densities: Sequence[OrbitalDensity]) -> tuple[OrbitalDensity, list[FloatArray]]:
    """Return all orbitals as one density, and each density's occupations of them.

    So the basis functions, the costly part, are evaluated once.
    """
    first = densities[0]
    if any(not _same_molecule(first.atoms, d.atoms) or d.shells != first.shells for d in densities):
        raise ConfigurationError("The densities are not of one molecule in one basis set.")
    counts = [d.coefficients.shape[1] for d in densities]
    ends = np.cumsum(counts)
    occupations = []
    for density, end, count in zip(densities, ends, counts, strict=True):
        own = np.zeros(ends[-1])
        own[end - count : end] = density.occupations
        occupations.append(own)
    coefficients = np.hstack([density.coefficients for density in densities])
    return OrbitalDensity(first.atoms, first.shells, coefficients), occupations


def _same_molecule(one: Atoms, other: Atoms) -> bool:
    return np.array_equal(one.numbers, other.numbers) and bool(
        np.allclose(one.positions, other.positions, rtol=0, atol=1e-5)
    )
