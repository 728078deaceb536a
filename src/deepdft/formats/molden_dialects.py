"""Which conventions of normalisation and sign a Molden file follows.

The specification says little about them and programs differ. The orbitals themselves decide: they
are orthonormal, but only if the basis functions are those of the program that wrote them. So every
known combination of conventions is tried, and the one closest to orthonormality is taken.

- Primitives: coefficients of normalised primitives (the specification), or of plain
  ``r^l exp(-a r^2)`` (ORCA, old CP2K and Psi4).
- Contractions: used as given, or normalised (ORCA, Psi4, and what Molden itself does).
- Cartesian functions from d on: each normalised; or all with the factor of xx (Psi4 up to 1.3), of
  xy or xyz (CFOUR), or of the radial function alone; or each too large by the root of
  ``(2l - 1)!!`` (TURBOMOLE).
- Signs: ORCA's functions with \\|m\\| = 3 and 4 are the negatives of everyone else's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.errors import FileFormatError
from deepdft.fields.orbitals.basis import Shell, contracted_shell, primitive_norms
from deepdft.fields.orbitals.overlap import overlap_matrix
from deepdft.kernels.angular.solid_harmonics import monomials

TOLERANCE = 0.02
"""Largest deviation from orthonormality that is put down to rounding in the file (CP2K writes three
digits unless told otherwise)."""

_CARTESIAN_ORDER = {
    2: "xx yy zz xy xz yz",
    3: "xxx yyy zzz xyy xxy xxz xzz yzz yyz xyz",
    4: "xxxx yyyy zzzz xxxy xxxz yyyx yyyz zzzx zzzy xxyy xxzz yyzz xxyz yyxz zzxy",
}


@dataclass(frozen=True)
class MoldenShell:
    """One contracted shell as a file gives it.

    Attributes:
        atom: atom that carries it, from 0.
        angular_momentum: l.
        exponents: bohr^-2.
        coefficients: one for each exponent.
    """

    atom: int
    angular_momentum: int
    exponents: tuple[float, ...]
    coefficients: tuple[float, ...]


@dataclass(frozen=True)
class Dialect:
    """One combination of conventions."""

    plain_primitives: bool
    as_given: bool
    cartesian: str
    orca_signs: bool


def interpret(
    atoms: Atoms,
    shells: Sequence[MoldenShell],
    spherical: Mapping[int, bool],
    orbitals: Sequence[Mapping[int, float]],
    beta: NDArray[np.bool_],
    *,
    prefer_orca: bool = False,
) -> tuple[list[tuple[Shell, ...]], FloatArray]:
    """Return the shells of each atom, and the coefficients of all orbitals in their functions.

    Args:
        atoms: the structure.
        shells: in the file's order, which numbers the basis functions.
        spherical: whether shells of an angular momentum are spherical; d and higher are Cartesian
            by default.
        orbitals: coefficient by number of the function in the file, zeros left out.
        beta: (n_orbitals,) which are of spin beta.
        prefer_orca: whether ORCA's signs come first if the orbitals cannot tell.

    Raises:
        FileFormatError: if a shell or coefficient belongs to no atom or function, or no dialect
            makes the orbitals orthonormal.
    """
    for shell in shells:
        if shell.atom >= len(atoms):
            raise FileFormatError(
                f"There are basis functions for atom {shell.atom + 1}, which is absent."
            )
    cartesian = [
        shell.angular_momentum > 1 and not spherical.get(shell.angular_momentum, False)
        for shell in shells
    ]
    table = _in_standard_order(shells, cartesian, orbitals)
    deviations: dict[Dialect, float] = {}
    results = {}
    for plain in (False, True):
        normalised = [
            _normalised(shell, plain, flag) for shell, flag in zip(shells, cartesian, strict=True)
        ]
        order, by_atom = _by_atom(shells, [shell for shell, _ in normalised], len(atoms))
        overlap = overlap_matrix(atoms, by_atom)
        for dialect in _dialects(plain, shells, cartesian, prefer_orca):
            factors = np.concatenate([_factors(shell, norm, dialect) for shell, norm in normalised])
            coefficients = (table * factors[:, None])[order]
            deviations[dialect] = _deviation(coefficients, overlap, beta)
            results[dialect] = by_atom, coefficients
    smallest = min(deviations.values())
    if not smallest < TOLERANCE:
        raise FileFormatError(
            "The orbitals are not orthonormal under any known convention (smallest deviation "
            f"{smallest:.2g}); the file is damaged or incomplete, or lacks the [Cell] section of a "
            "periodic structure."
        )
    chosen = next(d for d, deviation in deviations.items() if deviation <= max(3 * smallest, 1e-8))
    return results[chosen]


def _dialects(
    plain: bool, shells: Sequence[MoldenShell], cartesian: Sequence[bool], prefer_orca: bool
) -> Iterator[Dialect]:
    """Yield the dialects that make a difference for these shells, the specification first."""
    any_high = any(
        shell.angular_momentum > 2 and not flag
        for shell, flag in zip(shells, cartesian, strict=True)
    )
    signs = ((True, False) if prefer_orca else (False, True)) if any_high else (False,)
    factors = ("each", "xx", "xyz", "radial", "turbomole") if any(cartesian) else ("each",)
    # The constants that plain primitives lack differ between programs, so only normalising helps.
    given = (False,) if plain else (True, False)
    for orca, factor, as_given in product(signs, factors, given):
        yield Dialect(plain, as_given, factor, orca)


def _normalised(shell: MoldenShell, plain: bool, cartesian: bool) -> tuple[Shell, float]:
    """Return the shell with its contraction normalised, and the norm that it has as given."""
    coefficients = np.array(shell.coefficients)
    if plain:
        coefficients = coefficients / primitive_norms(shell.angular_momentum, shell.exponents)
    result = contracted_shell(
        shell.angular_momentum, shell.exponents, coefficients, cartesian=cartesian
    )
    largest = int(np.argmax(np.abs(coefficients)))
    alone = contracted_shell(shell.angular_momentum, [shell.exponents[largest]], [1.0])
    norm = coefficients[largest] * alone.coefficients[0][0] / result.coefficients[0][largest]
    return result, float(norm)


def _factors(shell: Shell, norm: float, dialect: Dialect) -> FloatArray:
    """Return each function of the file in units of ours, in the file's order."""
    momentum = shell.angular_momentum
    scale = norm if dialect.as_given else 1.0
    if not shell.cartesian:
        factors = np.ones(2 * momentum + 1)
        if dialect.orca_signs:
            factors[[abs(m) in (3, 4) for m in range(-momentum, momentum + 1)]] = -1
        return scale * factors
    # Squares of monomials over the sphere: 4 pi (2i-1)!! (2j-1)!! (2k-1)!! / (2l+1)!!
    single = np.array(
        [math.prod(_double_factorial(2 * n - 1) for n in powers) for powers in monomials(momentum)]
    )
    whole = _double_factorial(2 * momentum + 1) / (4 * math.pi)
    reference = {
        "each": single,
        "xx": np.full(len(single), _double_factorial(2 * momentum - 1)),
        "xyz": np.ones(len(single)),
        "radial": np.full(len(single), whole),
        "turbomole": single / _double_factorial(2 * momentum - 1),
    }[dialect.cartesian]
    return np.asarray(scale * np.sqrt(whole / reference))


def _double_factorial(number: int) -> float:
    return float(math.prod(range(number, 0, -2)))


def _in_standard_order(
    shells: Sequence[MoldenShell],
    cartesian: Sequence[bool],
    orbitals: Sequence[Mapping[int, float]],
) -> FloatArray:
    """Return (n_functions, n_orbitals) coefficients, functions of each shell in our order."""
    order: list[int] = []
    for shell, flag in zip(shells, cartesian, strict=True):
        first = len(order)
        order.extend(first + place for place in _places(shell.angular_momentum, flag))
    listed = {len(orbital) for orbital in orbitals}
    if len(listed) == 1 and max(listed) < len(order) and _leave_nothing_out(orbitals):
        raise FileFormatError(
            f"The orbitals have {max(listed)} coefficients, but there are {len(order)} basis "
            "functions; a mark like [5D] may be missing or wrong."
        )
    table = np.zeros((len(order), len(orbitals)))
    for column, orbital in enumerate(orbitals):
        numbers = np.fromiter(orbital.keys(), dtype=np.int64, count=len(orbital))
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(order):
            raise FileFormatError(
                f"Orbital {column + 1} has a coefficient for basis function {numbers.max() + 1} of "
                f"{len(order)}; a mark like [5D] may be missing or wrong."
            )
        table[numbers, column] = np.fromiter(orbital.values(), dtype=np.float64, count=len(orbital))
    return table[order]


def _leave_nothing_out(orbitals: Sequence[Mapping[int, float]]) -> bool:
    return all(set(orbital) == set(range(len(orbital))) for orbital in orbitals)


def _places(momentum: int, cartesian: bool) -> list[int]:
    """Return where the file has each of our functions of a shell."""
    if momentum < 2:
        return list(range(2 * momentum + 1))
    if not cartesian:
        # The file's order is m = 0, 1, -1, 2, -2, ...
        return [2 * m - 1 if m > 0 else -2 * m for m in range(-momentum, momentum + 1)]
    if momentum not in _CARTESIAN_ORDER:
        raise FileFormatError("Cartesian h and i functions have no order in Molden files.")
    file_order = [
        tuple(name.count(axis) for axis in "xyz") for name in _CARTESIAN_ORDER[momentum].split()
    ]
    return [file_order.index(powers) for powers in monomials(momentum)]


def _by_atom(
    shells: Sequence[MoldenShell], built: Sequence[Shell], n_atoms: int
) -> tuple[NDArray[np.int64], list[tuple[Shell, ...]]]:
    """Return the order that sorts functions by atom, and the shells of each atom."""
    owner = np.repeat([shell.atom for shell in shells], [shell.n_functions for shell in built])
    by_atom: list[list[Shell]] = [[] for _ in range(n_atoms)]
    for shell, result in zip(shells, built, strict=True):
        by_atom[shell.atom].append(result)
    return np.argsort(owner, kind="stable"), [tuple(members) for members in by_atom]


def _deviation(coefficients: FloatArray, overlap: FloatArray, beta: NDArray[np.bool_]) -> float:
    """Return the largest deviation of the orbitals of each spin from orthonormality."""
    largest = 0.0
    for spin in (beta, ~beta):
        if spin.any():
            part = coefficients[:, spin]
            gram = part.T @ overlap @ part
            largest = max(largest, float(np.abs(gram - np.eye(len(gram))).max()))
    return largest
