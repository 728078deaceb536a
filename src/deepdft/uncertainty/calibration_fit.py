"""Fitting what errors to expect of structures as wholes (`...expected_errors.calibration`)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize

from deepdft.arrays import FloatArray
from deepdft.models.expected_errors.calibration import Calibration, Wholes, logarithm

FEWEST = 30
"""Held-out structures below which nothing is fitted."""

_FOLDS = 10
_PRIOR = np.array([0.0, 0.0, 0.3, 0.7, 0.0, 0.0])
_STRENGTH = 1.0
"""So many structures' worth of a departure of one from the prior."""

_LEAST_DEVIATION = 0.1
"""Added to deviations of logarithms, so that the logarithm of none of them weighs much."""

_WIDTH_STRENGTH = 30.0
"""So many structures' worth of a width that is the same for all."""

_SMALLEST = 1e-12


@dataclass(frozen=True)
class CrossValidated:
    """What is expected of each held-out structure by fits without it.

    Attributes:
        calibration: the fit to all.
        eps_mae: (structures,) fractions.
        widths: (structures,) how much log(true / expected) scatters, relative to what is usual.
    """

    calibration: Calibration
    eps_mae: FloatArray
    widths: FloatArray


def cross_validated_calibration(wholes: Wholes, true: FloatArray) -> CrossValidated:
    """Fit the formulas, and once more without each tenth of the structures.

    Args:
        wholes: structures that the shares were not fitted to.
        true: (structures,) true eps_mae.
    """
    folds = np.random.default_rng(0).permutation(len(true)) % _FOLDS
    eps_mae, widths = np.zeros(len(true)), np.zeros(len(true))
    rests = [folds != fold for fold in range(_FOLDS)]
    for rest in rests:
        eps_mae[~rest] = fit_powers(wholes[rest], true[rest]).eps_mae(wholes[~rest])
    deviations = np.log(true / eps_mae)
    fitted = fit_powers(wholes, true)
    for rest in rests:
        without = fit_widths(fitted, wholes[rest], deviations[rest])
        widths[~rest] = without.width(wholes[~rest])
    return CrossValidated(fit_widths(fitted, wholes, deviations), eps_mae, widths)


def fit_powers(wholes: Wholes, true: FloatArray) -> Calibration:
    """Fit the formula for eps to the logarithms of true errors; the width is that of all.

    Args:
        wholes: structures that the shares were not fitted to.
        true: (structures,) true eps_mae.
    """
    targets, limits = np.log(true), _limits(true, wholes)

    def loss(x: FloatArray) -> float:
        found = np.log(Calibration(tuple(x.tolist()), **limits).eps_mae(wholes))
        return float(((found - targets) ** 2).sum() + _STRENGTH * ((x - _PRIOR) ** 2).sum())

    options = {"maxiter": 8000, "maxfev": 8000, "xatol": 1e-5, "fatol": 1e-7, "adaptive": True}
    found = minimize(loss, _PRIOR, method="Nelder-Mead", options=options)
    return Calibration(tuple(found.x.tolist()), **limits)


def fit_widths(fitted: Calibration, wholes: Wholes, deviations: FloatArray) -> Calibration:
    """Return a calibration that knows how much errors scatter as well.

    Args:
        fitted: from `fit_powers`.
        wholes: held-out structures.
        deviations: (structures,) log(true / expected), the latter from fits without each.
    """
    values = fitted.coordinates(wholes)
    values -= values.mean(axis=1, keepdims=True)
    scales = np.maximum(values.std(axis=1), _SMALLEST)
    standard = values / scales[:, None]
    targets = np.log(np.abs(deviations) + _LEAST_DEVIATION)
    matrix = standard @ standard.T + _WIDTH_STRENGTH * np.eye(len(scales))
    slopes = np.linalg.solve(matrix, standard @ (targets - targets.mean())) / scales
    return replace(fitted, widths=tuple(slopes.tolist()))


def _limits(true: FloatArray, wholes: Wholes) -> dict[str, tuple[float, ...]]:
    """Return lowest, highest and middle of log eps, log n and log d; n as far as it is finite."""
    sizes = wholes.sizes[np.isfinite(wholes.sizes)]
    sizes = sizes if len(sizes) else np.ones(1)
    kinds = [logarithm(values) for values in (true, sizes, wholes.distances)]
    return {
        "lowest": tuple(float(values.min()) for values in kinds),
        "highest": tuple(float(values.max()) for values in kinds),
        "middle": tuple(float(values.mean()) for values in kinds),
    }
