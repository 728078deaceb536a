"""Fits of a learning curve: error = a N^-b, or with a floor, from runs with several seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from deepdft.arrays import FloatArray

_INTERVAL = (2.5, 97.5)
"""Percentiles of the bootstrap that bound an interval."""
_SMALLEST_EXPONENT, _LARGEST_EXPONENT, _EXPONENTS = 0.02, 3.0, 40


@dataclass(frozen=True)
class PowerLaw:
    """error = scale * N^-exponent + floor.

    Attributes:
        scale: error of a single structure less the floor, in the unit of the errors.
        exponent: b.
        floor: error that no number of structures removes.
    """

    scale: float
    exponent: float
    floor: float = 0.0

    def __call__(self, sizes: FloatArray | float) -> FloatArray:
        """Return the error at numbers of structures."""
        return np.asarray(self.scale * np.asarray(sizes) ** -self.exponent + self.floor)


@dataclass(frozen=True)
class Estimate:
    """A value and the middle 95 % of its bootstrap.

    Attributes:
        value: from all runs.
        low: 2.5th percentile.
        high: 97.5th percentile.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Fit:
    """A power law with its uncertainty.

    Attributes:
        law: from all runs.
        exponent: of it.
        floor: of it.
        predictions: error at each of the sizes asked for.
        draws: bootstrap samples that could be fitted.
    """

    law: PowerLaw
    exponent: Estimate
    floor: Estimate
    predictions: dict[int, Estimate]
    draws: int


def seed_scatter(errors: Mapping[int, Sequence[float]]) -> float | None:
    """Return the relative scatter of seeds: standard deviation of log errors, pooled over sizes.

    Args:
        errors: errors of the seeds, by size.

    Returns:
        None if no size has two seeds.
    """
    squares = 0.0
    freedom = 0
    for values in errors.values():
        if len(values) > 1:
            logs = np.log(values)
            squares += float(((logs - logs.mean()) ** 2).sum())
            freedom += len(values) - 1
    return math.sqrt(squares / freedom) if freedom else None


def fit_power_law(errors: Mapping[int, Sequence[float]], *, floor: bool = False) -> PowerLaw:
    """Fit by least squares of log errors; a size counts by its number of seeds.

    The scatter of seeds is the same fraction of the error at every size, so that all runs weigh the
    same: the mean of n seeds has the variance of one divided by n.

    Args:
        errors: errors of the seeds, by size; all positive.
        floor: whether there is one, not below zero; relative errors are then fitted, which are
            the differences of logarithms as long as they are small.

    Raises:
        ValueError: if there are fewer sizes than parameters.
    """
    sizes = np.array(sorted(errors), dtype=np.float64)
    if len(sizes) < (3 if floor else 2):
        raise ValueError(f"{len(sizes)} sizes do not determine the power law.")
    logs = np.array([np.log(errors[int(size)]).mean() for size in sizes])
    weights = np.sqrt([len(errors[int(size)]) for size in sizes])
    slope, intercept = np.polyfit(np.log(sizes), logs, 1, w=weights)
    if not floor:
        return PowerLaw(float(np.exp(intercept)), float(-slope))
    return _with_floor(sizes, np.exp(logs), weights)


def _with_floor(sizes: FloatArray, errors: FloatArray, weights: FloatArray) -> PowerLaw:
    """Fit by least squares of relative errors: for a given exponent the rest is linear."""

    def best(exponent: float) -> tuple[float, float, float]:
        powers = weights * (sizes / sizes[0]) ** -exponent / errors
        ones = weights / errors
        # Normal equations of scale and floor; a floor below zero is none.
        pp, po, oo = powers @ powers, powers @ ones, ones @ ones
        p1, o1 = powers @ weights, ones @ weights
        floor = max(0.0, (pp * o1 - po * p1) / (pp * oo - po * po))
        scale = (p1 - floor * po) / pp
        return float(((scale * powers + floor * ones - weights) ** 2).sum()), scale, floor

    grid = np.geomspace(_SMALLEST_EXPONENT, _LARGEST_EXPONENT, _EXPONENTS)
    nearest = int(np.argmin([best(exponent)[0] for exponent in grid]))
    bounds = (grid[max(nearest - 1, 0)], grid[min(nearest + 1, _EXPONENTS - 1)])
    found = minimize_scalar(lambda x: best(x)[0], bounds=bounds, method="bounded")
    exponent = float(found.x)
    _, scale, floor = best(exponent)
    return PowerLaw(float(scale * sizes[0] ** exponent), exponent, float(floor))


def bootstrapped(
    errors: Mapping[int, Sequence[float]],
    sizes: Sequence[int],
    *,
    floor: bool = False,
    draws: int = 2000,
    seed: int = 0,
) -> Fit:
    """Fit, with intervals from drawing sizes and, at each of them, seeds with replacement.

    A size with one seed cannot show its scatter: that of the others is added to it. Samples with
    too few different sizes to be fitted are drawn again.

    Args:
        errors: errors of the seeds, by size.
        sizes: where predictions are wanted.
        floor: whether a floor is fitted.
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: as `fit_power_law`.
    """
    law = fit_power_law(errors, floor=floor)
    generator = np.random.default_rng(seed)
    scatter = seed_scatter(errors) or 0.0
    known = sorted(errors)
    laws: list[PowerLaw] = []
    while len(laws) < draws:
        drawn: dict[int, list[float]] = {}
        for size in generator.choice(known, len(known)):
            drawn.setdefault(int(size), []).extend(_redrawn(errors[int(size)], scatter, generator))
        if len(drawn) >= (3 if floor else 2):
            laws.append(fit_power_law(drawn, floor=floor))

    def estimate(value: float, samples: Sequence[float]) -> Estimate:
        low, high = np.percentile(samples, _INTERVAL)
        return Estimate(value, float(low), float(high))

    return Fit(
        law,
        estimate(law.exponent, [sample.exponent for sample in laws]),
        estimate(law.floor, [sample.floor for sample in laws]),
        {
            size: estimate(float(law(size)), [float(sample(size)) for sample in laws])
            for size in sizes
        },
        len(laws),
    )


def _redrawn(
    values: Sequence[float], scatter: float, generator: np.random.Generator
) -> list[float]:
    if len(values) == 1:
        return [values[0] * math.exp(scatter * generator.standard_normal())]
    return [float(value) for value in generator.choice(values, len(values))]
