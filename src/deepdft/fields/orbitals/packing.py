"""Basis functions and orbitals of a structure as the arrays that compiled code works on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.orbitals.basis import Shell
from deepdft.kernels.gaussians.densities import Basis, Orbitals, Sites
from deepdft.kernels.gaussians.polynomials import Polynomials, polynomials
from deepdft.kernels.gaussians.products import TILE_ORBITALS
from deepdft.kernels.gaussians.shells import ShellTables

Shells = tuple[Shell, ...]
Precision = type[np.float32] | type[np.float64]

FUNCTION_THRESHOLD = 1e-9
"""Basis functions smaller than this (Å^-3/2) at all points of a tile are left out there."""


class Group(NamedTuple):
    """Shells of an atom whose exponents are among the same few.

    Every exponential is then evaluated once for all contractions and angular functions.

    Attributes:
        exponents: (k,) Å^-2, descending.
        radials: ((angular momentum, Cartesian or not), (k,) coefficients) of radial functions.
        functions: index of each function among the atom's.
    """

    exponents: tuple[float, ...]
    radials: tuple[tuple[tuple[int, bool], tuple[float, ...]], ...]
    functions: tuple[int, ...]

    def reach(self, threshold: float) -> float:
        """Return a distance beyond which no function exceeds `threshold` (Å^-3/2), Å."""
        exponents = np.array(self.exponents)
        distances = np.linspace(0, math.sqrt(80 / exponents.min()), 2001)
        gaussians = np.exp(-exponents[:, None] * distances**2)
        bound = np.zeros_like(distances)
        for (momentum, _), coefficients in self.radials:
            # |r^l Y_lm| <= r^l sqrt((2l + 1) / 4 pi); a Cartesian monomial is at most r^l.
            angular = distances**momentum * max(1.0, math.sqrt((2 * momentum + 1) / (4 * math.pi)))
            bound = np.maximum(bound, angular * (np.abs(coefficients) @ gaussians))
        above = np.flatnonzero(bound >= threshold)
        last = above[-1] if len(above) else 0
        return float(distances[min(last + 1, len(distances) - 1)])


@lru_cache(maxsize=1024)
def shell_groups(shells: Shells) -> tuple[Group, ...]:
    """Return the shells of an atom in groups with common exponents."""
    gathered: list[list[int]] = []
    for index in sorted(range(len(shells)), key=lambda i: -len(shells[i].exponents)):
        for members in gathered:
            if set(shells[index].exponents) <= set(shells[members[0]].exponents):
                members.append(index)
                break
        else:
            gathered.append([index])
    offsets = np.cumsum([0, *(shell.n_functions for shell in shells)]).tolist()
    return tuple(_group(shells, members, offsets) for members in gathered)


def _group(shells: Shells, members: list[int], offsets: list[int]) -> Group:
    exponents = sorted(set(shells[members[0]].exponents), reverse=True)
    members = sorted(members, key=lambda i: (shells[i].angular_momentum, shells[i].cartesian))
    radials = []
    for member in members:
        shell = shells[member]
        for coefficients in shell.coefficients:
            row = [0.0] * len(exponents)
            for exponent, coefficient in zip(shell.exponents, coefficients, strict=True):
                row[exponents.index(exponent)] += coefficient
            radials.append(((shell.angular_momentum, shell.cartesian), tuple(row)))
    functions = [i for member in members for i in range(offsets[member], offsets[member + 1])]
    return Group(tuple(exponents), tuple(radials), tuple(functions))


@lru_cache(maxsize=256)
def shell_tables(atoms: tuple[Shells, ...], dtype: Precision) -> tuple[ShellTables, Polynomials]:
    """Return the tables of the groups of several kinds of atoms, one kind after the other."""
    groups = [group for shells in atoms for group in shell_groups(shells)]
    kinds = sorted({kind for group in groups for kind, _ in group.radials})
    radials = [radial for group in groups for radial in group.radials]
    terms = [[k for k, c in enumerate(row) if c != 0] for _, row in radials]
    tables = ShellTables(
        exponents=np.array([a for group in groups for a in group.exponents], dtype=dtype),
        first_exponent=_ends(len(group.exponents) for group in groups),
        first_radial=_ends(len(group.radials) for group in groups),
        kinds=np.array([kinds.index(kind) for kind, _ in radials], dtype=np.int64),
        first_term=_ends(map(len, terms)),
        terms=np.array([k for of in terms for k in of], dtype=np.int64),
        coefficients=np.array(
            [row[k] for (_, row), of in zip(radials, terms, strict=True) for k in of], dtype=dtype
        ),
        degrees=np.array([max(kind[0] for kind, _ in group.radials) for group in groups]),
        functions=np.array([len(group.functions) for group in groups]),
        reach=np.array([group.reach(FUNCTION_THRESHOLD) for group in groups]),
    )
    return tables, polynomials(kinds, dtype)


def _ends(sizes: Any) -> IntegerArray:
    return np.cumsum([0, *sizes])


class Packed(NamedTuple):
    """The basis and the orbitals of a structure in one precision.

    Attributes:
        shells: tables of the groups of shells of each kind of atom.
        polynomials: of their angular functions.
        atoms: (n,) atom of every group of shells of the structure...
        groups: (n,) ... which group it is...
        rows: (n,) ... and the first of its functions in `coefficients`.
        functions: (n_functions,) function of each row of `coefficients`.
        coefficients: (tiles, functions, TILE_ORBITALS) of the orbitals, padded with zeros.
    """

    shells: ShellTables
    polynomials: Polynomials
    atoms: IntegerArray
    groups: IntegerArray
    rows: IntegerArray
    functions: IntegerArray
    coefficients: NDArray[Any]

    @property
    def reach(self) -> float:
        """Distance beyond which no function counts, Å."""
        return float(self.shells.reach.max(initial=0.0))

    def basis(self, atoms: IntegerArray, positions: FloatArray) -> Basis:
        """Return the functions of atoms, or of images of atoms.

        Args:
            atoms: (m,) which atom each is, ascending.
            positions: (m, 3) where it is, Å.
        """
        first = np.searchsorted(self.atoms, atoms, side="left")
        counts = np.searchsorted(self.atoms, atoms, side="right") - first
        image = np.repeat(np.arange(len(atoms)), counts)
        within = np.arange(len(image)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = np.repeat(first, counts) + within
        # Images of the same functions follow one another.
        order = np.argsort(place, kind="stable")
        place, image = place[order], image[order]
        sites = Sites(self.groups[place], positions[image], self.rows[place])
        return Basis(self.shells, self.polynomials, sites)

    def orbitals(self, occupations: Sequence[FloatArray]) -> Orbitals:
        """Return the orbitals with sets of occupations (n_orbitals,)."""
        tiles = self.coefficients.shape[0]
        weights = np.zeros((len(occupations), tiles * TILE_ORBITALS), self.coefficients.dtype)
        for row, of in zip(weights, occupations, strict=True):
            row[: len(of)] = of
        return Orbitals(self.coefficients, weights)


def pack(shells: Sequence[Shells], coefficients: NDArray[Any], dtype: Precision) -> Packed:
    """Return the arrays of a structure.

    Args:
        shells: shells of each atom.
        coefficients: (n_functions, n_orbitals), functions atom by atom, shell by shell.
        dtype: float32 or float64.
    """
    kinds = list(dict.fromkeys(shells))
    tables, angular = shell_tables(tuple(kinds), np.dtype(dtype))
    groups = [shell_groups(of) for of in kinds]
    first = _ends(map(len, groups))
    sizes = [[len(group.functions) for group in of] for of in groups]
    order = [np.array([i for group in of for i in group.functions], np.int64) for of in groups]
    kind = np.array([kinds.index(of) for of in shells], dtype=np.int64)
    starts = _ends(sum(sizes[k]) for k in kind)
    of_atom = [np.arange(first[k], first[k + 1]) for k in kind]
    n_orbitals, n_functions = coefficients.shape[1], int(starts[-1])
    tiles = -(-n_orbitals // TILE_ORBITALS)
    table = np.zeros((tiles * TILE_ORBITALS, n_functions), dtype)
    functions = _joined([start + order[k] for start, k in zip(starts, kind, strict=False)])
    table[:n_orbitals] = coefficients[functions].T
    return Packed(
        tables,
        angular,
        np.repeat(np.arange(len(shells)), [len(of) for of in of_atom]),
        _joined(of_atom),
        _joined([start + _ends(sizes[k])[:-1] for start, k in zip(starts, kind, strict=False)]),
        functions,
        np.ascontiguousarray(table.reshape(tiles, TILE_ORBITALS, n_functions).transpose(0, 2, 1)),
    )


def _joined(parts: Sequence[IntegerArray]) -> IntegerArray:
    return np.concatenate([np.empty(0, np.int64), *parts])
