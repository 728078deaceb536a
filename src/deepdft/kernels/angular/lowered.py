"""Harmonics' gradients by position as harmonics of one degree less.

The harmonics of degree l are homogeneous polynomials of v, and so are their derivatives, harmonic
ones of degree l - 1:

    dY_lm / dv_i = sum_m' C_im'm Y_(l-1)m',    l Y_lm = v . dY_lm / dv.

What an atom sends, S_m for each m, is turned into ``sum_m C_im'm S_m`` once for all of its edges in
a block. An edge contracts these 3 (2 l - 1) numbers with harmonics alone, and value and gradient
take fewer operations together than the contractions of functions and their three derivatives.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepdft.compilation import FUSED, compiled
from deepdft.kernels.angular.solid_harmonics import monomial_coefficients, monomials
from deepdft.kernels.jets import FACTORS

_U = np.uint64  # unsigned places spare the check for negative ones, which defeats vectorisation


@cache
def lowering(momentum: int) -> NDArray[np.float64]:
    """Return C of a degree l >= 1, (3, 2 l - 1, 2 l + 1)."""
    powers = monomials(momentum)
    places = {power: place for place, power in enumerate(monomials(momentum - 1))}
    derivatives = np.zeros((3, len(powers), len(places)))
    for row, power in enumerate(powers):
        for axis in range(3):
            if power[axis]:
                i, j, k = (n - (axis == other) for other, n in enumerate(power))
                derivatives[axis, row, places[i, j, k]] = power[axis]
    upper, lower = _polynomials(momentum), _polynomials(momentum - 1)
    inverse = np.linalg.pinv(lower)
    found = np.stack([(upper @ derivative @ inverse).T for derivative in derivatives])
    found[abs(found) < 1e-12] = 0.0
    return found


def _polynomials(momentum: int) -> NDArray[np.float64]:
    """Return the functions of a degree as combinations of monomials, by function."""
    norm = math.sqrt(4 * math.pi / (2 * momentum + 1))
    return norm * monomial_coefficients(momentum, False)


class Lowering(NamedTuple):
    """How rows of senders are turned into lowered ones.

    A lowered row holds, for each l, its 3 (2 l - 1) numbers by axis and then by m', each with the
    channels of that l; for l = 0 the channels as they are.

    Attributes:
        width: numbers of a lowered row.
        places: (terms, 3) where a term is added, where what it multiplies begins, and channels.
        factors: (terms,) float32.
    """

    width: int
    places: NDArray[np.int64]
    factors: NDArray[np.float32]


@cache
def lowering_of(channels: tuple[int, ...]) -> Lowering:
    """Return how senders with so many channels of l = 0, 1, ... are lowered."""
    places, factors = [(0, 0, channels[0])], [1.0]
    to = sent = channels[0]
    for momentum, count in enumerate(channels[1:], start=1):
        coefficients = lowering(momentum)
        for axis, m_lower, m in zip(*np.nonzero(coefficients), strict=True):
            row = int(axis) * (2 * momentum - 1) + int(m_lower)
            places.append((to + row * count, sent + int(m) * count, count))
            factors.append(float(coefficients[axis, m_lower, m]))
        to += 3 * (2 * momentum - 1) * count
        sent += (2 * momentum + 1) * count
    return Lowering(to, np.array(places, np.int64), np.array(factors, np.float32))


@compiled
def number_atoms(atoms: Any, count: int, places: Any, chosen: Any, numbers: Any) -> int:
    """Number the atoms of edges in the order in which they come.

    Args:
        atoms: (edges,) of which the first `count` are used.
        count: number of edges.
        places: (atoms,) of zeros, and zeros again afterwards.
        chosen: (edges or more,) gets the atoms by number.
        numbers: (edges,) gets the number of each edge's atom.

    Returns:
        How many different atoms there are.
    """
    found = 0
    for e in range(count):
        atom = atoms[e]
        if places[atom] == 0:
            chosen[found] = atom
            found += 1
            places[atom] = found
        numbers[e] = places[atom] - 1
    for n in range(found):
        places[chosen[n]] = 0
    return found


@compiled(fast=FUSED)
def lower_senders(
    senders: Any, sender_width: int, chosen: Any, count: int, places: Any, factors: Any,
    out: Any, width: int,
) -> None:  # fmt: skip
    """Lower the rows of some atoms.

    Args:
        senders: (atoms * sender_width,).
        sender_width: numbers that an atom sends.
        chosen: (count,) atoms.
        count: how many.
        places, factors, width: see `Lowering`.
        out: (count * width,) rows.
    """
    for n in range(count):
        for c in range(width):
            out[_U(n * width) + _U(c)] = 0.0
        for term in range(len(factors)):
            to = _U(n * width + places[term, 0])
            sent = _U(np.int64(chosen[n]) * sender_width + places[term, 1])
            for c in range(places[term, 2]):
                out[to + _U(c)] += factors[term] * senders[sent + _U(c)]


@compiled
def fill_positions(
    factors: Any, count: int, softness: float, x: Any, y: Any, z: Any, scales: Any
) -> None:
    """Take the vectors of edges from their factors.

    Args:
        factors: see `deepdft.kernels.edges.jet_edges.JetEdges`.
        count: number of edges.
        softness: a, Å.
        x, y, z: (edges,) float64, Å.
        scales: (edges,) float32, ``s = (d^2 + a^2)^(-1/2)``.
    """
    for e in range(count):
        place = e * FACTORS + 18
        a, b, c = factors[place], factors[place + 1], factors[place + 2]
        x[e], y[e], z[e] = a, b, c
        scales[e] = 1.0 / np.sqrt(a * a + b * b + c * c + softness * softness)
