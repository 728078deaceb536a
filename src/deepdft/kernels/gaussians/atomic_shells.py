"""Sums over points and shells of atoms whose radial functions are tables.

A function of a shell is ``S_lm(r - R) f(|r - R|)`` with a real solid harmonic S_lm. Tables hold
cubic polynomials in the root of the distance, in which functions that are steep at a nucleus and
flat far from it are equally smooth. Beyond the table's end f is ``tail / |r - R|^(2l + 1)``, which
a potential is and which is zero for a density.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import FUSED, compiled, inner

TILE = 64
"""Points treated together: loops over them become vector instructions."""


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
def _harmonics(
    x: FloatArray, y: FloatArray, z: FloatArray, square: FloatArray, norms: FloatArray,
    scratch: FloatArray, out: FloatArray,
) -> None:  # fmt: skip
    """Put in ``r^l Y_lm``: from place l^2 on m = -l..l, but x, y, z for l = 1."""
    real, imaginary, before, polynomial = scratch[0], scratch[1], scratch[2], scratch[3]
    for t in range(TILE):
        real[t], imaginary[t] = 1.0, 0.0
    start = 1.0
    for m in range(len(norms)):
        if m > 0:
            start *= 2 * m - 1
            for t in range(TILE):
                turned = x[t] * real[t] - y[t] * imaginary[t]
                imaginary[t] = y[t] * real[t] + x[t] * imaginary[t]
                real[t] = turned
        for t in range(TILE):
            before[t], polynomial[t] = 0.0, start
        for l in range(m, len(norms)):  # noqa: E741
            if l > m:
                one, other = (2 * l - 1) / (l - m), (l + m - 1) / (l - m)
                for t in range(TILE):
                    following = one * z[t] * polynomial[t] - other * square[t] * before[t]
                    before[t], polynomial[t] = polynomial[t], following
            positive, negative = l * l + l + m, l * l + l - m
            if l == 1:
                positive, negative = (3, 3) if m == 0 else (1, 2)
            _scaled_product(norms[l, m], polynomial, real, out[positive])
            if m > 0:
                _scaled_product(norms[l, m], polynomial, imaginary, out[negative])


@inner(fast=FUSED)
def _scaled_product(factor: float, one: FloatArray, other: FloatArray, out: FloatArray) -> None:
    for t in range(TILE):
        out[t] = factor * one[t] * other[t]


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


class Scratch(NamedTuple):
    """Memory for a tile of points, by `scratch`."""

    shift: FloatArray
    square: FloatArray
    running: FloatArray
    harmonics: FloatArray
    by_point: FloatArray
    radial: FloatArray
    sums: FloatArray


def scratch(momenta: int, shells: int) -> Scratch:
    """Return memory for functions of so many angular momenta and shells at most."""
    return Scratch(
        np.empty((3, TILE)), np.empty(TILE), np.empty((4, TILE)), np.empty((momenta**2, TILE)),
        np.empty((TILE, shells)), np.empty((shells, TILE)), np.empty((2, TILE)),
    )  # fmt: skip


@inner(fast=FUSED)
def _fill(
    points: FloatArray, first: int, centre: FloatArray, spacing: float, polynomials: FloatArray,
    tails: FloatArray, starts: IntegerArray, norms: FloatArray, scratch: Any,
) -> bool:  # fmt: skip
    """Fill in radial functions and harmonics of a tile; return whether any function reaches it."""
    last, nearest = len(points) - 1, np.inf
    shift, square = scratch.shift, scratch.square
    for t in range(TILE):
        # Beyond the last point, it again.
        p = min(first + t, last)
        for x in range(3):
            shift[x, t] = points[p, x] - centre[x]
        square[t] = shift[0, t] ** 2 + shift[1, t] ** 2 + shift[2, t] ** 2
        nearest = min(nearest, square[t])
    if tails[0] == 0.0 and nearest >= (spacing * len(polynomials)) ** 4:
        return False
    shells = len(tails)
    for t in range(TILE):
        distance = math.sqrt(square[t])
        _radial(distance, spacing, polynomials, tails, starts, scratch.by_point[t, :shells])
    for s in range(shells):
        target = scratch.radial[s]
        for t in range(TILE):
            target[t] = scratch.by_point[t, s]
    _harmonics(shift[0], shift[1], shift[2], square, norms, scratch.running, scratch.harmonics)
    return True


@inner(fast=FUSED | {"reassoc"})
def _dot(one: FloatArray, other: FloatArray) -> float:
    total = 0.0
    for t in range(TILE):
        total += one[t] * other[t]
    return total


@compiled(fast=FUSED)
def add_integrals(
    points: FloatArray, charges: FloatArray, centre: FloatArray, spacing: float,
    polynomials: FloatArray, tails: FloatArray, starts: IntegerArray, norms: FloatArray,
    scratch: Any, result: FloatArray,
) -> None:  # fmt: skip
    """Add the sums over points of charge times function to the result (functions,) of an atom.

    Args:
        points: (n, 3); neighbours follow one another.
        charges: (n,).
        centre: (3,) of the atom.
        spacing, polynomials, tails, starts: of the `ShellTable`.
        norms: of `harmonic_norms`.
        scratch: memory.
        result: shell by shell, m by m.
    """
    weighted = scratch.sums[0]
    for first in range(0, len(points), TILE):
        if not _fill(points, first, centre, spacing, polynomials, tails, starts, norms, scratch):
            continue
        size = min(TILE, len(points) - first)
        place = 0
        for l in range(len(starts) - 1):  # noqa: E741
            for s in range(starts[l], starts[l + 1]):
                radial = scratch.radial[s]
                for t in range(TILE):
                    weighted[t] = radial[t] * charges[first + t] if t < size else 0.0
                for m in range(2 * l + 1):
                    result[place + m] += _dot(weighted, scratch.harmonics[l * l + m])
                place += 2 * l + 1


@compiled(fast=FUSED)
def add_values(
    points: FloatArray, coefficients: FloatArray, centre: FloatArray, spacing: float,
    polynomials: FloatArray, tails: FloatArray, starts: IntegerArray, norms: FloatArray,
    scratch: Any, result: FloatArray,
) -> None:  # fmt: skip
    """Add an atom's functions times coefficients (functions,) to the values (n,) at points.

    Arguments as of `add_integrals`.
    """
    part, total = scratch.sums[0], scratch.sums[1]
    for first in range(0, len(points), TILE):
        if not _fill(points, first, centre, spacing, polynomials, tails, starts, norms, scratch):
            continue
        for t in range(TILE):
            total[t] = 0.0
        place = 0
        for l in range(len(starts) - 1):  # noqa: E741
            for s in range(starts[l], starts[l + 1]):
                _combined(coefficients[place:], scratch.harmonics[l * l :], 2 * l + 1, part)
                _add_product(part, scratch.radial[s], total)
                place += 2 * l + 1
        for t in range(min(TILE, len(points) - first)):
            result[first + t] += total[t]


@inner(fast=FUSED)
def _combined(coefficients: FloatArray, harmonics: FloatArray, count: int, out: FloatArray) -> None:
    for t in range(TILE):
        out[t] = coefficients[0] * harmonics[0, t]
    for m in range(1, count):
        row, factor = harmonics[m], coefficients[m]
        for t in range(TILE):
            out[t] += factor * row[t]


@inner(fast=FUSED)
def _add_product(one: FloatArray, other: FloatArray, out: FloatArray) -> None:
    for t in range(TILE):
        out[t] += one[t] * other[t]
