"""The size of an atom's share of the expected error, from its features.

    log a_i = b_Z + w_Z . t_i + gamma log d_i

with the whitened coordinates t_i and the distance d_i of `features`; w_Z . t is kept within the
range it has on the atoms it was fitted to, so that outside of what is known only the distance
decides, and the share grows with it. Weights are fitted by the quasi-likelihood of a
variance that grows with the mean (the log link conserves the total of every element), with a
quadratic penalty on w_Z; gamma is not negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Of which cross-validation chooses."""

_FOLDS = 10
_CLIPPED = (0.005, 0.995)
"""Quantiles of w . t between which it is kept."""

_LARGEST_EXPONENT = 2.0
_INTERCEPT_PENALTY = 0.1
"""Draws the intercept of an element with few atoms to that of all."""


@dataclass(frozen=True, eq=False)
class AtomSample:
    """Atoms with known shares of the error.

    Attributes:
        coordinates: (atoms, K) t.
        distances: (atoms,) d.
        species: (atoms,) index of each atom's element.
        structure: (atoms,) number of the structure.
        shares: (atoms,) electrons.
    """

    coordinates: FloatArray
    distances: FloatArray
    species: IntegerArray
    structure: IntegerArray
    shares: FloatArray

    def where(self, chosen: FloatArray) -> AtomSample:
        """Return the chosen atoms."""
        return AtomSample(
            self.coordinates[chosen], self.distances[chosen], self.species[chosen],
            self.structure[chosen], self.shares[chosen],
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """A fitted regression.

    Attributes:
        intercepts: (elements,) b_Z, the logarithm of electrons.
        weights: (elements, K) w_Z.
        limits: (elements, 2) between which w_Z . t is kept.
        exponent: gamma.
        penalty: that was used.
    """

    intercepts: FloatArray
    weights: FloatArray
    limits: FloatArray
    exponent: float
    penalty: float

    def predict(
        self, coordinates: FloatArray, distances: FloatArray, species: IntegerArray
    ) -> FloatArray:
        """Return the expected shares of atoms, (atoms,) electrons."""
        linear = (coordinates * self.weights[species]).sum(axis=1)
        linear = np.clip(linear, self.limits[species, 0], self.limits[species, 1])
        logarithm = self.intercepts[species] + linear + self.exponent * np.log(distances)
        return np.asarray(np.exp(logarithm))


def fit_amplitudes(sample: AtomSample, n_elements: int, penalty: float) -> Amplitudes:
    """Fit the regression with a given penalty."""
    from scipy.optimize import minimize  # takes longer to import than a prediction needs

    size = sample.coordinates.shape[1]
    scale = float(sample.shares.mean()) or 1.0
    targets = sample.shares / scale
    logarithm = np.log(sample.distances)
    species = sample.species
    groups = [np.flatnonzero(species == element) for element in range(n_elements)]
    own_coordinates = [sample.coordinates[group] for group in groups]

    def split(x: FloatArray) -> tuple[float, FloatArray, FloatArray, float]:
        return x[0], x[1 : 1 + n_elements], x[1 + n_elements : -1].reshape(-1, size), x[-1]

    def loss(x: FloatArray) -> tuple[float, FloatArray]:
        common, own, weights, exponent = split(x)
        linear = (sample.coordinates * weights[species]).sum(axis=1)
        linear = common + own[species] + linear + exponent * logarithm
        # Beyond the range the exponential goes on as a straight line: no overflow on the way.
        expected = np.exp(np.minimum(linear, 10.0))
        value = (expected * (1 + np.maximum(linear - 10.0, 0.0)) - targets * linear).sum()
        value += 0.5 * penalty * (weights**2).sum() + 0.5 * _INTERCEPT_PENALTY * (own**2).sum()
        slope = expected - targets
        of_own = np.bincount(species, slope, n_elements) + _INTERCEPT_PENALTY * own
        of_weights = np.array(
            [slope[group] @ x for group, x in zip(groups, own_coordinates, strict=True)]
        )
        of_weights += penalty * weights
        ends = np.array([slope.sum()]), np.array([slope @ logarithm])
        gradient = np.concatenate((ends[0], of_own, of_weights.ravel(), ends[1]))
        return float(value), gradient

    free = 1 + n_elements * (1 + size)
    bounds = [(None, None)] * free + [(0.0, _LARGEST_EXPONENT)]
    found = minimize(loss, np.zeros(free + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    common, own, weights, exponent = split(found.x)
    linear = (sample.coordinates * weights[species]).sum(axis=1)
    limits = np.zeros((n_elements, 2))
    for element in np.unique(species):
        limits[element] = np.quantile(linear[species == element], _CLIPPED)
    return Amplitudes(common + own + np.log(scale), weights, limits, float(exponent), penalty)


def cross_validated(
    sample: AtomSample, n_elements: int, penalties: Sequence[float] = PENALTIES
) -> tuple[Amplitudes, FloatArray]:
    """Choose the penalty by cross-validation over structures.

    The penalty whose predictions for left-out structures have the smallest mean squared error of
    the logarithm of a structure's error is used for the fit to all.

    Returns:
        The regression, and the expected errors of all structures, (structures,) electrons, each
        from a fit without the structure (with one structure alone, with it).
    """
    n_structures = int(sample.structure.max()) + 1
    true = np.log(np.bincount(sample.structure, sample.shares))
    folds = np.random.default_rng(0).permutation(n_structures) % min(_FOLDS, n_structures)
    best = (np.inf, penalties[-1], np.zeros(n_structures))
    for penalty in penalties if n_structures > 1 else penalties[-1:]:
        expected = np.zeros(n_structures)
        for fold in range(folds.max() + 1):
            left_out = folds[sample.structure] == fold
            fitted_to = sample.where(~left_out) if n_structures > 1 else sample
            fit = fit_amplitudes(fitted_to, n_elements, penalty)
            rest = sample.where(left_out)
            shares = fit.predict(rest.coordinates, rest.distances, rest.species)
            expected += np.bincount(rest.structure, shares, n_structures)
        loss = float(((np.log(expected) - true) ** 2).mean())
        if loss < best[0]:
            best = (loss, penalty, expected)
    return fit_amplitudes(sample, n_elements, best[1]), best[2]
