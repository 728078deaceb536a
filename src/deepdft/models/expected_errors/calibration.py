"""The expected error of a structure as a whole: what its atoms say, and its number of electrons.

    eps = exp(c) a^p (delta + kappa a)^q

a is the sum of the atoms' shares over the electrons, and delta how far the network is off in the
number of electrons, before it is corrected, over the electrons. That is known of every structure,
and a network that counts badly is wrong elsewhere as well. Both are intensive, so that twice the
structure has the same eps. Fragments far from each other have each their own a and delta.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray

FEWEST = 30
"""Held-out structures below which nothing is fitted."""

_FOLDS = 10
_PRIOR = np.array([0.0, 0.0, 0.3, 0.7])
_STRENGTH = 1.0
"""So many structures' worth of a departure of one from the prior."""

_SMALLEST = 1e-12


@dataclass(frozen=True, eq=False)
class Excess:
    """By how many electrons a network is off, before their number is corrected.

    Attributes:
        fragment: (atoms,) number of each atom's fragment.
        electrons: (fragments,) that there are.
        deviations: (fragments,) electrons too many or too few, without the sign.
    """

    fragment: IntegerArray
    electrons: FloatArray
    deviations: FloatArray


@dataclass(frozen=True)
class Calibration:
    """What the formula needs.

    Attributes:
        scale: c.
        logarithm: log of kappa.
        power: p.
        joint_power: q.
    """

    scale: float
    logarithm: float
    power: float
    joint_power: float

    def eps_mae(self, shares: FloatArray, excess: FloatArray) -> FloatArray:
        """Return expected eps_mae, fractions.

        Args:
            shares: a, fractions.
            excess: delta, fractions.
        """
        shares = np.maximum(shares, _SMALLEST)
        joint = np.log(excess + np.exp(self.logarithm) * shares)
        result: FloatArray = np.exp(
            self.scale + self.power * np.log(shares) + self.joint_power * joint
        )
        return result

    def calibrated(self, shares: FloatArray, excess: Excess) -> FloatArray:
        """Return the atoms' shares of the error, scaled fragment by fragment, (atoms,) electrons.

        Args:
            shares: (atoms,) electrons.
            excess: of the structure.
        """
        by_fragment = np.bincount(excess.fragment, shares) / excess.electrons
        expected = self.eps_mae(by_fragment, excess.deviations / excess.electrons)
        factors = expected / np.maximum(by_fragment, _SMALLEST)
        return np.asarray(shares * factors[excess.fragment])

    @property
    def numbers(self) -> list[float]:
        """All of them, as they are stored."""
        return [self.scale, self.logarithm, self.power, self.joint_power]


def fit_calibration(shares: FloatArray, excess: FloatArray, true: FloatArray) -> Calibration:
    """Fit the formula to the logarithms of true errors.

    Args:
        shares: (structures,) a of structures that the shares were not fitted to.
        excess: (structures,) delta.
        true: (structures,) true eps_mae.
    """
    from scipy.optimize import minimize

    targets = np.log(true)

    def loss(x: FloatArray) -> float:
        found = np.log(Calibration(*x.tolist()).eps_mae(shares, excess))
        return float(((found - targets) ** 2).sum() + _STRENGTH * ((x - _PRIOR) ** 2).sum())

    options = {"maxiter": 4000, "xatol": 1e-5, "fatol": 1e-7}
    found = minimize(loss, _PRIOR, method="Nelder-Mead", options=options)
    return Calibration(*found.x.tolist())


def cross_validated_eps_mae(shares: FloatArray, excess: FloatArray, true: FloatArray) -> FloatArray:
    """Return what is expected of each structure by a fit without it, (structures,) fractions."""
    folds = np.random.default_rng(0).permutation(len(true)) % _FOLDS
    result = np.zeros(len(true))
    for fold in range(_FOLDS):
        rest = folds != fold
        fit = fit_calibration(shares[rest], excess[rest], true[rest])
        result[~rest] = fit.eps_mae(shares[~rest], excess[~rest])
    return result
