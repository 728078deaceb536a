"""Sums over points and shells of atoms whose radial functions are tables.

A function of a shell is ``S_lm(r - R) f(|r - R|)`` with a real solid harmonic S_lm. Tables hold
cubic polynomials in the root of the distance, in which functions that are steep at a nucleus and
flat far from it are equally smooth. Beyond the table's end f is ``tail / |r - R|^(2l + 1)``, which
a potential is and which is zero for a density.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import FUSED, compiled, inner


class ShellTable(NamedTuple):
    """Radial functions of the shells of an element, by ascending angular momentum.

    Attributes:
        spacing: distance between knots of the root of the distance.
        polynomials: (intervals, 4, shells) coefficients of powers of the way into an interval.
        tails: (shells,) factors of ``r^-(2l + 1)`` beyond the table.
        starts: (l_max + 2,) first shell of each angular momentum.
    """

    spacing: float
    polynomials: FloatArray
    tails: FloatArray
    starts: IntegerArray


def harmonic_norms(largest: int) -> FloatArray:
    """Return the factors (l_max + 1, l_max + 1) of the solid harmonics, by l and \\|m\\|."""
    norms = np.zeros((largest + 1, largest + 1))
    for momentum in range(largest + 1):
        for m in range(momentum + 1):
            ratio = math.factorial(momentum - m) / math.factorial(momentum + m)
            both = 1 if m == 0 else 2
            norms[momentum, m] = math.sqrt(both * (2 * momentum + 1) / (4 * math.pi) * ratio)
    return norms


@inner(fast=FUSED)
def _harmonics(x: float, y: float, z: float, norms: FloatArray, out: FloatArray) -> None:
    """Put in ``r^l Y_lm``: from place l^2 on m = -l..l, but x, y, z for l = 1."""
    square = x * x + y * y + z * z
    real, imaginary, start = 1.0, 0.0, 1.0
    for m in range(len(norms)):
        if m > 0:
            real, imaginary = x * real - y * imaginary, y * real + x * imaginary
            start *= 2 * m - 1
        before, polynomial = 0.0, start
        for l in range(m, len(norms)):  # noqa: E741
            if l > m:
                following = (2 * l - 1) * z * polynomial - (l + m - 1) * square * before
                before, polynomial = polynomial, following / (l - m)
            factor = norms[l, m] * polynomial
            if l == 1:
                if m == 0:
                    out[3] = factor
                else:
                    out[1], out[2] = factor * real, factor * imaginary
            else:
                out[l * l + l + m] = factor * real
                if m > 0:
                    out[l * l + l - m] = factor * imaginary


@inner(fast=FUSED)
def _radial(
    distance: float, spacing: float, polynomials: FloatArray, tails: FloatArray,
    starts: IntegerArray, out: FloatArray,
) -> None:  # fmt: skip
    """Put in the radial functions of all shells at a distance."""
    place = math.sqrt(distance) / spacing
    interval = int(place)
    if interval < len(polynomials):
        u = place - interval
        rows = polynomials[interval]
        for s in range(len(out)):
            out[s] = rows[0, s] + u * (rows[1, s] + u * (rows[2, s] + u * rows[3, s]))
        return
    shrink = 1.0 / distance
    power = shrink
    for l in range(len(starts) - 1):  # noqa: E741
        for s in range(starts[l], starts[l + 1]):
            out[s] = tails[s] * power
        power *= shrink * shrink


@compiled(fast=FUSED)
def add_integrals(
    points: FloatArray, charges: FloatArray, centre: FloatArray, spacing: float,
    polynomials: FloatArray, tails: FloatArray, starts: IntegerArray, norms: FloatArray,
    result: FloatArray,
) -> None:  # fmt: skip
    """Add the sums over points of charge times function to the result (functions,) of an atom.

    Args:
        points: (n, 3).
        charges: (n,).
        centre: (3,) of the atom.
        spacing, polynomials, tails, starts: of the `ShellTable`.
        norms: of `harmonic_norms`.
        result: shell by shell, m by m.
    """
    harmonics, radial = np.empty(len(norms) ** 2), np.empty(len(tails))
    for p in range(len(points)):
        x, y, z = points[p, 0] - centre[0], points[p, 1] - centre[1], points[p, 2] - centre[2]
        _harmonics(x, y, z, norms, harmonics)
        distance = math.sqrt(x * x + y * y + z * z)
        _radial(distance, spacing, polynomials, tails, starts, radial)
        place = 0
        for l in range(len(starts) - 1):  # noqa: E741
            for s in range(starts[l], starts[l + 1]):
                factor = charges[p] * radial[s]
                for m in range(2 * l + 1):
                    result[place + m] += factor * harmonics[l * l + m]
                place += 2 * l + 1


@compiled(fast=FUSED)
def add_values(
    points: FloatArray, coefficients: FloatArray, centre: FloatArray, spacing: float,
    polynomials: FloatArray, tails: FloatArray, starts: IntegerArray, norms: FloatArray,
    result: FloatArray,
) -> None:  # fmt: skip
    """Add an atom's functions times coefficients (functions,) to the values (n,) at points.

    Arguments as of `add_integrals`.
    """
    harmonics, radial = np.empty(len(norms) ** 2), np.empty(len(tails))
    for p in range(len(points)):
        x, y, z = points[p, 0] - centre[0], points[p, 1] - centre[1], points[p, 2] - centre[2]
        square = x * x + y * y + z * z
        if square >= (spacing * len(polynomials)) ** 4 and tails[0] == 0.0:
            continue
        _harmonics(x, y, z, norms, harmonics)
        _radial(math.sqrt(square), spacing, polynomials, tails, starts, radial)
        place, total = 0, 0.0
        for l in range(len(starts) - 1):  # noqa: E741
            for s in range(starts[l], starts[l + 1]):
                part = 0.0
                for m in range(2 * l + 1):
                    part += coefficients[place + m] * harmonics[l * l + m]
                total += part * radial[s]
                place += 2 * l + 1
        result[p] += total
