"""The expected error of a structure as a whole, and how far the true one may be from it.

    eps = exp(c) a^p (delta + kappa a)^q n^u d^v

a is the sum of the atoms' shares over the electrons, and delta how far the network is off in the
number of electrons, before it is corrected, over the electrons. That is known of every structure,
and a network that counts badly is wrong elsewhere as well. n is the number of atoms and d the
largest of their distances from what training holds. All are those of a fragment, so that twice the
structure has the same eps: fragments far from each other have each their own. A fragment that goes
on through periodic cells counts as the largest of those that the formula was fitted to.

The errors of some kinds of structures scatter more than those of others: the logarithm of
true / expected has a width exp(h . (log eps, log n, log d)), relative to the usual one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray

_SMALLEST = 1e-12


def logarithm(values: FloatArray) -> FloatArray:
    """Return log(values), finite where they are zero."""
    return np.asarray(np.log(np.maximum(values, _SMALLEST)))


@dataclass(frozen=True, eq=False)
class Excess:
    """By how many electrons a network is off, before their number is corrected.

    Attributes:
        fragment: (atoms,) number of each atom's fragment.
        electrons: (fragments,) that there are.
        deviations: (fragments,) electrons too many or too few, without the sign.
        sizes: (fragments,) atoms, infinite where a fragment goes on through periodic cells.
    """

    fragment: IntegerArray
    electrons: FloatArray
    deviations: FloatArray
    sizes: FloatArray


@dataclass(frozen=True, eq=False)
class Wholes:
    """What is known of several structures or fragments, each as a whole; arrays of one length.

    Attributes:
        shares: a, fractions.
        excess: delta, fractions.
        sizes: n.
        distances: d.
    """

    shares: FloatArray
    excess: FloatArray
    sizes: FloatArray
    distances: FloatArray

    @classmethod
    def of_fragments(cls, shares: FloatArray, distances: FloatArray, excess: Excess) -> Self:
        """Return the fragments of a structure.

        Args:
            shares: (atoms,) electrons.
            distances: (atoms,) from what training holds.
            excess: of the structure.
        """
        largest = np.zeros(len(excess.electrons))
        np.maximum.at(largest, excess.fragment, distances)
        by_fragment = np.bincount(excess.fragment, shares) / excess.electrons
        return cls(by_fragment, excess.deviations / excess.electrons, excess.sizes, largest)

    def __getitem__(self, chosen: Any) -> Self:
        """Return some of them."""
        return type(self)(
            self.shares[chosen], self.excess[chosen], self.sizes[chosen], self.distances[chosen]
        )


@dataclass(frozen=True)
class Calibration:
    """What the formulas need.

    Attributes:
        powers: c, log of kappa, p, q, u, v.
        widths: h, for log eps, log n and log d.
        lowest, highest: of log eps, log n and log d in the structures that it was fitted to; what
            is outside counts as the nearer of them, and the width is the usual one in the middle.
        middle: means of the three there.
    """

    powers: tuple[float, ...]
    widths: tuple[float, ...] = (0.0, 0.0, 0.0)
    lowest: tuple[float, ...] = (0.0, 0.0, 0.0)
    highest: tuple[float, ...] = (0.0, 0.0, 0.0)
    middle: tuple[float, ...] = (0.0, 0.0, 0.0)

    def eps_mae(self, wholes: Wholes) -> FloatArray:
        """Return expected eps_mae, fractions."""
        scale, log_kappa, power, joint_power, size_power, distance_power = self.powers
        shares = np.maximum(wholes.shares, _SMALLEST)
        joint = np.log(wholes.excess + np.exp(log_kappa) * shares)
        result: FloatArray = np.exp(
            scale + power * np.log(shares) + joint_power * joint
            + size_power * self._within(1, wholes.sizes)
            + distance_power * self._within(2, wholes.distances)
        )  # fmt: skip
        return result

    def coordinates(self, wholes: Wholes) -> FloatArray:
        """Return log eps, log n and log d within their limits, less their middle, (3, n)."""
        values = (self.eps_mae(wholes), wholes.sizes, wholes.distances)
        limited = np.array([self._within(place, value) for place, value in enumerate(values)])
        return np.asarray(limited - np.array(self.middle)[:, None])

    def width(self, wholes: Wholes) -> FloatArray:
        """Return how much log(true / expected) scatters, relative to what is usual."""
        return np.asarray(np.exp(np.array(self.widths) @ self.coordinates(wholes)))

    def _within(self, place: int, values: FloatArray) -> FloatArray:
        return np.asarray(np.clip(logarithm(values), self.lowest[place], self.highest[place]))

    @property
    def numbers(self) -> list[float]:
        """All of them."""
        return [*self.powers, *self.widths, *self.lowest, *self.highest, *self.middle]

    @classmethod
    def from_stored(cls, stored: Any) -> Self:
        """Return what was stored; before format 4 that were the first four powers.

        Raises:
            TypeError, ValueError: if it is something else.
        """
        if not isinstance(stored, Mapping):
            first, second, third, fourth = map(float, stored)
            return cls((first, second, third, fourth, 0.0, 0.0))
        found = {name: tuple(map(float, values)) for name, values in stored.items()}
        calibration = cls(**found)
        powers, *others = astuple(calibration)
        if len(powers) != 6 or any(len(values) != 3 for values in others):
            raise ValueError("the calibration has too many or too few numbers")
        if not np.isfinite(calibration.numbers).all():
            raise ValueError("the calibration has numbers that are not finite")
        return calibration
