"""Quantum ESPRESSO's Bravais lattices, from `ibrav` and `celldm`.

Source: the variable `ibrav` in https://www.quantum-espresso.org/Doc/INPUT_PW.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray


def lattice_vectors(ibrav: int, celldm: Sequence[float]) -> NDArray[np.float64]:
    """Return the lattice vectors as rows, in the unit of ``celldm[0]``.

    Args:
        ibrav: number of the lattice, not 0.
        celldm: a, b/a, c/a and three cosines.

    Raises:
        ValueError: if there is no such lattice or the parameters make none.
    """
    a = celldm[0]
    if a <= 0:
        raise ValueError(f"The lattice parameter {a} is not positive.")
    b, c = celldm[1], celldm[2]
    if abs(ibrav) in (12, 13, 14):
        rows = _oblique(ibrav, b, c, celldm[3:6])
    elif abs(ibrav) == 5:
        rows = _trigonal(ibrav, celldm[3])
    else:
        rows = _rectangular(ibrav, b, c)
    vectors = a * np.array(rows)
    if abs(np.linalg.det(vectors)) < 1e-9 * a**3:
        raise ValueError(f"Lattice {ibrav} with parameters {list(celldm)} has no volume.")
    return vectors


def _rectangular(ibrav: int, b: float, c: float) -> list[list[float]]:
    """Cubic, tetragonal, orthorhombic and hexagonal lattices, in units of a."""
    known: dict[int, list[list[float]]] = {
        1: [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        2: [[-0.5, 0, 0.5], [0, 0.5, 0.5], [-0.5, 0.5, 0]],
        3: [[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5]],
        -3: [[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]],
        4: [[1, 0, 0], [-0.5, sqrt(3) / 2, 0], [0, 0, c]],
        6: [[1, 0, 0], [0, 1, 0], [0, 0, c]],
        7: [[0.5, -0.5, c / 2], [0.5, 0.5, c / 2], [-0.5, -0.5, c / 2]],
        8: [[1, 0, 0], [0, b, 0], [0, 0, c]],
        9: [[0.5, b / 2, 0], [-0.5, b / 2, 0], [0, 0, c]],
        -9: [[0.5, -b / 2, 0], [0.5, b / 2, 0], [0, 0, c]],
        91: [[1, 0, 0], [0, b / 2, -c / 2], [0, b / 2, c / 2]],
        10: [[0.5, 0, c / 2], [0.5, b / 2, 0], [0, b / 2, c / 2]],
        11: [[0.5, b / 2, c / 2], [-0.5, b / 2, c / 2], [-0.5, -b / 2, c / 2]],
    }
    if ibrav not in known:
        raise ValueError(f"There is no Bravais lattice {ibrav}.")
    return known[ibrav]


def _trigonal(ibrav: int, cosine: float) -> list[list[float]]:
    """Rhombohedral lattices: the threefold axis along z, or along (1, 1, 1) if negative."""
    if not -0.5 < cosine < 1:
        raise ValueError(f"No rhombohedral lattice has a cosine of {cosine}.")
    x, y, z = sqrt((1 - cosine) / 2), sqrt((1 - cosine) / 6), sqrt((1 + 2 * cosine) / 3)
    if ibrav > 0:
        return [[x, -y, z], [0, 2 * y, z], [-x, -y, z]]
    u, v = (z - 2 * sqrt(2) * y) / sqrt(3), (z + sqrt(2) * y) / sqrt(3)
    return [[u, v, v], [v, u, v], [v, v, u]]


def _oblique(ibrav: int, b: float, c: float, cosines: Sequence[float]) -> list[list[float]]:
    """Monoclinic (unique axis c, or b if negative) and triclinic lattices."""
    alpha, beta, gamma = cosines
    if ibrav in (12, 13):
        gamma = alpha  # the fourth parameter is the only cosine
    if max(abs(alpha), abs(beta), abs(gamma)) >= 1:
        raise ValueError(f"No lattice has the cosines {list(cosines)}.")
    second = [b * gamma, b * sqrt(1 - gamma**2), 0.0]
    tilted = [c * beta, 0.0, c * sqrt(1 - beta**2)]
    if ibrav == 12:
        return [[1, 0, 0], second, [0, 0, c]]
    if ibrav == -12:
        return [[1, 0, 0], [0, b, 0], tilted]
    if ibrav == 13:
        return [[0.5, 0, -c / 2], second, [0.5, 0, c / 2]]
    if ibrav == -13:
        return [[0.5, b / 2, 0], [-0.5, b / 2, 0], tilted]
    if ibrav != 14:
        raise ValueError(f"There is no Bravais lattice {ibrav}.")
    height = 1 + 2 * alpha * beta * gamma - alpha**2 - beta**2 - gamma**2
    if height <= 0:
        raise ValueError(f"No triclinic lattice has the cosines {list(cosines)}.")
    sine = sqrt(1 - gamma**2)
    third = [c * beta, c * (alpha - beta * gamma) / sine, c * sqrt(height) / sine]
    return [[1, 0, 0], second, third]
