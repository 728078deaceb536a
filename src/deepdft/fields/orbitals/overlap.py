"""Overlap integrals of Gaussian basis functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.compilation import compiled, inner
from deepdft.fields.orbitals.basis import MAX_ANGULAR_MOMENTUM, Shell
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.kernels.angular.solid_harmonics import monomial_coefficients, monomials

_EXPONENT_LIMIT = 45.0
"""Pairs of Gaussians whose product carries exp(-this) or less count as zero."""


@dataclass(frozen=True)
class _Radials:
    """Radial functions of a structure, one after the other.

    Attributes:
        atoms: (n,) atom that carries each.
        momenta: (n,) angular momentum.
        first: (n + 1,) first primitive of each.
        columns: (n + 1,) first monomial of each among those of the structure.
        exponents, coefficients: of the primitives.
    """

    atoms: IntegerArray
    momenta: IntegerArray
    first: IntegerArray
    columns: IntegerArray
    exponents: FloatArray
    coefficients: FloatArray


def overlap_matrix(atoms: Atoms, shells: Sequence[tuple[Shell, ...]]) -> FloatArray:
    """Return the overlap of every pair of basis functions, (n_functions, n_functions).

    For a periodic structure the second function is summed over its images (the Gamma point).

    Args:
        atoms: the structure.
        shells: shells of each atom.
    """
    flat = [(atom, shell) for atom, of_atom in enumerate(shells) for shell in of_atom]
    radials = _flatten(flat)
    positions = atoms.positions
    if len(radials.atoms) == 0:
        return np.zeros((0, 0))
    smallest = float(radials.exponents.min())
    reach = float(np.sqrt(2 * _EXPONENT_LIMIT / smallest))
    images = images_in_reach(
        positions, atoms.cell.array, atoms.pbc, positions.min(axis=0), positions.max(axis=0), reach
    )
    by_atom: list[IntegerArray] = [np.flatnonzero(radials.atoms == a) for a in range(len(atoms))]
    # Radial functions of all images, and where each image is.
    partners = np.concatenate([by_atom[atom] for atom in images.atoms])
    centres = np.repeat(images.positions, [len(by_atom[a]) for a in images.atoms], axis=0)
    size = int(radials.columns[-1])
    monomial_overlap = np.zeros((size, size))
    _accumulate(
        positions[radials.atoms],
        centres,
        partners,
        radials.momenta,
        radials.first,
        radials.columns,
        radials.exponents,
        radials.coefficients,
        _monomial_table(),
        monomial_overlap,
    )
    return _transformed(_transformed(monomial_overlap, flat).T, flat)


def _flatten(flat: list[tuple[int, Shell]]) -> _Radials:
    rows = [(atom, shell, row) for atom, shell in flat for row in shell.coefficients]
    lengths = [len(row) for _, _, row in rows]
    widths = [len(monomials(shell.angular_momentum)) for _, shell, _ in rows]
    return _Radials(
        atoms=np.array([atom for atom, _, _ in rows], dtype=np.int64),
        momenta=np.array([shell.angular_momentum for _, shell, _ in rows], dtype=np.int64),
        first=np.cumsum([0, *lengths]),
        columns=np.cumsum([0, *widths]),
        exponents=np.array([a for _, shell, _ in rows for a in shell.exponents]),
        coefficients=np.array([c for _, _, row in rows for c in row]),
    )


def _transformed(matrix: FloatArray, flat: list[tuple[int, Shell]]) -> FloatArray:
    """Replace the monomials that number the rows by the functions made of them."""
    parts = []
    first = 0
    for _, shell in flat:
        table = monomial_coefficients(shell.angular_momentum, shell.cartesian)
        for _ in shell.coefficients:
            parts.append(table @ matrix[first : first + table.shape[1]])
            first += table.shape[1]
    return np.concatenate(parts)


def _monomial_table() -> IntegerArray:
    """Return exponents (l, monomial, 3) for every angular momentum."""
    widest = len(monomials(MAX_ANGULAR_MOMENTUM))
    table = np.zeros((MAX_ANGULAR_MOMENTUM + 1, widest, 3), dtype=np.int64)
    for momentum in range(MAX_ANGULAR_MOMENTUM + 1):
        powers = monomials(momentum)
        table[momentum, : len(powers)] = powers
    return table


@compiled
def _accumulate(
    home: Any,
    centres: Any,
    partners: Any,
    momenta: Any,
    first: Any,
    columns: Any,
    exponents: Any,
    coefficients: Any,
    powers: Any,
    result: Any,
) -> None:
    """Add the overlaps of monomials at home with those of the images."""
    side = powers.shape[0]
    table = np.zeros((3, side, side))
    for a in range(len(momenta)):
        for image in range(len(partners)):
            b = partners[image]
            separation = home[a] - centres[image]
            square = (separation**2).sum()
            for p in range(first[a], first[a + 1]):
                for q in range(first[b], first[b + 1]):
                    total = exponents[p] + exponents[q]
                    decay = exponents[p] * exponents[q] / total * square
                    if decay > _EXPONENT_LIMIT:
                        continue
                    weight = coefficients[p] * coefficients[q] * np.exp(-decay)
                    weight *= (np.pi / total) ** 1.5
                    for axis in range(3):
                        _line(
                            -exponents[q] / total * separation[axis],
                            exponents[p] / total * separation[axis],
                            0.5 / total,
                            momenta[a],
                            momenta[b],
                            table[axis],
                        )
                    for i in range(columns[a + 1] - columns[a]):
                        u = powers[momenta[a], i]
                        for j in range(columns[b + 1] - columns[b]):
                            v = powers[momenta[b], j]
                            result[columns[a] + i, columns[b] + j] += (
                                weight
                                * table[0, u[0], v[0]]
                                * table[1, u[1], v[1]]
                                * table[2, u[2], v[2]]
                            )


@inner
def _line(to_a: float, to_b: float, half: float, most_a: int, most_b: int, table: Any) -> None:
    """Fill the overlaps of powers of x around two centres, in units of that of the Gaussians.

    Obara and Saika, J. Chem. Phys. 84, 3963 (1986): ``(i + 1, j) = PA (i, j) + (i (i - 1, j) +
    j (i, j - 1)) / 2p``, with `to_a` = PA, `to_b` = PB and `half` = 1/2p.
    """
    table[0, 0] = 1.0
    for i in range(1, most_a + 1):
        table[i, 0] = to_a * table[i - 1, 0]
        if i > 1:
            table[i, 0] += half * (i - 1) * table[i - 2, 0]
    for j in range(1, most_b + 1):
        for i in range(most_a + 1):
            table[i, j] = to_b * table[i, j - 1]
            if j > 1:
                table[i, j] += half * (j - 1) * table[i, j - 2]
            if i > 0:
                table[i, j] += half * i * table[i - 1, j - 1]
