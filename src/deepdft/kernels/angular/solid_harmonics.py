"""Real solid harmonics and Cartesian monomials, the angular parts of Gaussian functions.

They are written with arithmetic alone, so that arrays of NumPy and tensors of torch both do.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


def angular_functions(momentum: int, cartesian: bool, x: Any, y: Any, z: Any) -> list[Any]:
    """Return the angular functions of a shell at displacements (x, y, z), each of x's shape.

    The displacements are arrays of NumPy or tensors of torch; so are the functions.

    Spherical: ``r^l Y_lm`` in real form without the Condon-Shortley phase, m = -l..l, but x, y, z
    for l = 1. Cartesian: ``x^i y^j z^k`` with i, then j, descending; s and p carry the factors
    of Y_00 and Y_1m, which is libcint's convention.
    """
    if momentum == 0:
        return [0 * x + 1 / math.sqrt(4 * math.pi)]
    if momentum == 1:
        factor = math.sqrt(3 / (4 * math.pi))
        return [factor * x, factor * y, factor * z]
    return _monomials(momentum, x, y, z) if cartesian else _solid_harmonics(momentum, x, y, z)


def _monomials(momentum: int, x: Any, y: Any, z: Any) -> list[Any]:
    powers = []
    for variable in (x, y, z):
        row = [0 * variable + 1]
        for _ in range(momentum):
            row.append(row[-1] * variable)
        powers.append(row)
    return [powers[0][i] * powers[1][j] * powers[2][k] for i, j, k in monomials(momentum)]


def monomials(momentum: int) -> list[tuple[int, int, int]]:
    """Return the exponents (i, j, k) of ``x^i y^j z^k``, i + j + k = l, i then j descending."""
    return [
        (i, j, momentum - i - j)
        for i in range(momentum, -1, -1)
        for j in range(momentum - i, -1, -1)
    ]


@lru_cache
def monomial_coefficients(momentum: int, cartesian: bool) -> NDArray[np.float64]:
    """Return the angular functions of a shell as combinations of monomials.

    Returns:
        (n_functions, n_monomials) coefficients, rows as in `angular_functions` and columns as in
        `monomials`.
    """
    powers = np.array(monomials(momentum))
    # Interpolation at as many points as there are monomials: l + 1 points along a line fix each
    # variable, so the points (i, j, k) of the simplex fix all (Chung and Yao, 1977).
    points = (powers + 0.5) / (momentum + 1.5)
    values = np.prod(points[:, None, :] ** powers[None, :, :], axis=2)
    functions = np.stack(angular_functions(momentum, cartesian, *points.T))
    result: NDArray[np.float64] = np.linalg.solve(values, functions.T).T
    return result


def _solid_harmonics(momentum: int, x: Any, y: Any, z: Any) -> list[Any]:
    """Real solid harmonics by recursion in l for each m (Helgaker et al., 2000, section 6.4).

    ``r^l Y_l,±m = N Q_lm(z, r^2) {Re, Im} (x + iy)^m``, with Q_mm = (2m - 1)!! and
    ``(l - m) Q_lm = (2l - 1) z Q_(l-1)m - (l + m - 1) r^2 Q_(l-2)m``.
    """
    square = x * x + y * y + z * z
    real, imaginary = 0 * x + 1, 0 * x
    negative: list[Any] = []
    positive: list[Any] = []
    for m in range(momentum + 1):
        if m > 0:
            real, imaginary = x * real - y * imaginary, y * real + x * imaginary
        polynomial = _axial_polynomial(momentum, m, z, square)
        norm = math.sqrt(
            (2 - (m == 0))
            * (2 * momentum + 1)
            / (4 * math.pi)
            * math.factorial(momentum - m)
            / math.factorial(momentum + m)
        )
        positive.append(norm * polynomial * real)
        if m > 0:
            negative.append(norm * polynomial * imaginary)
    return negative[::-1] + positive


def _axial_polynomial(momentum: int, m: int, z: Any, square: Any) -> Any:
    previous = 0 * z
    current = 0 * z + float(math.prod(range(1, 2 * m, 2)))
    for degree in range(m + 1, momentum + 1):
        following = ((2 * degree - 1) * z * current - (degree + m - 1) * square * previous) / (
            degree - m
        )
        previous, current = current, following
    return current
