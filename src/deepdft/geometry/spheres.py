"""Points on the unit sphere with which averages over it are taken.

The rules are Lebedev's (V. I. Lebedev, USSR Comput. Math. Math. Phys. 15, 44 (1975); 16, 10
(1976)): points that the symmetry operations of a cube lead into each other have one weight.
Averages of polynomials up to the degree are exact.
"""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from deepdft.arrays import FloatArray

_A = (1.0, 0.0, 0.0)
_B = (0.0, 0.5**0.5, 0.5**0.5)
_C = ((1 / 3) ** 0.5,) * 3


def _twice(a: float) -> tuple[float, float, float]:
    """Return a point with two equal coordinates."""
    return a, a, (1.0 - 2.0 * a * a) ** 0.5


def _planar(a: float) -> tuple[float, float, float]:
    """Return a point with a coordinate that is zero."""
    return a, (1.0 - a * a) ** 0.5, 0.0


_RULES = {
    7: [(_A, 1 / 21), (_B, 4 / 105), (_C, 9 / 280)],
    11: [(_A, 4 / 315), (_B, 64 / 2835), (_C, 27 / 1280), (_twice(11**-0.5), 14641 / 725760)],
    15: [
        (_A, 0.01154401154401154), (_C, 0.01194390908585628),
        (_twice(0.3696028464541502), 0.01111055571060340),
        (_twice(0.6943540066026664), 0.01187650129453714),
        (_planar(0.3742430390903412), 0.01181230374690448),
    ],
}  # fmt: skip
"""By degree: a point of each class, and its weight."""


@cache
def sphere_rule(degree: int) -> tuple[FloatArray, FloatArray]:
    """Return points (n, 3) of length one and weights (n,) whose sum is one.

    Args:
        degree: 7 (26 points), 11 (50 points) or 15 (86 points).
    """
    points, weights = [], []
    for point, weight in _RULES[degree]:
        images = {
            tuple(sign * value for sign, value in zip(signs, order, strict=True))
            for order in itertools.permutations(point)
            for signs in itertools.product((1.0, -1.0), repeat=3)
        }
        # Zeros with either sign are equal, and so are one point in the set.
        points += sorted(images)
        weights += [weight] * len(images)
    return np.array(points), np.array(weights)


def spread_rotations(count: int) -> FloatArray:
    """Return rotation matrices (count, 3, 3) that are spread evenly over all of them.

    Quaternions of a super-Fibonacci spiral (M. Alexa, CVPR 2022, p. 8281).
    """
    s = np.arange(count) + 0.5
    radius, rest = np.sqrt(s / count), np.sqrt(1.0 - s / count)
    # The ratios that the spiral takes its name from.
    alpha, beta = 2 * np.pi * s / 2**0.5, 2 * np.pi * s / 1.533751168755204288118041
    x, y = radius * np.sin(alpha), radius * np.cos(alpha)
    z, w = rest * np.sin(beta), rest * np.cos(beta)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), -1, 0)
