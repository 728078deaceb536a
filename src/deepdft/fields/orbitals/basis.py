"""Contracted Gaussian shells and the basis sets that ship with the package.

A function of a shell is ``R(r) Y_lm`` with ``R(r) = r^l sum_k c_k exp(-a_k r^2)``. Primitives are
normalised first and the contraction after them, so that ``∫ R^2 r^2 dr = 1`` (the convention of
PySCF and libcint). Spherical shells hold real solid harmonics, m = -l..l, except p functions,
which come as x, y, z. Cartesian shells hold the monomials xx, xy, xz, yy, yz, zz, ... times the
same radial function, without a normalisation of their own from l = 2 on.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from ase.data import atomic_numbers, chemical_symbols
from numpy.typing import ArrayLike

from deepdft.errors import ConfigurationError, UnsupportedStructureError, did_you_mean
from deepdft.units import BOHR

MAX_ANGULAR_MOMENTUM = 6
"""Largest angular momentum of a shell (i functions)."""


@dataclass(frozen=True)
class Shell:
    """Radial functions of one angular momentum that share their exponents.

    Attributes:
        angular_momentum: l, 0 to 6 (s to i).
        exponents: (k,) exponents a, Å^-2.
        coefficients: (n, k) coefficients c of the n normalised radial functions, in units that
            make an orbital Å^-3/2.
        cartesian: whether the functions are Cartesian monomials instead of solid harmonics.
    """

    angular_momentum: int
    exponents: tuple[float, ...]
    coefficients: tuple[tuple[float, ...], ...]
    cartesian: bool = False

    @property
    def functions_per_radial(self) -> int:
        """Number of functions that go with each radial function."""
        momentum = self.angular_momentum
        return (momentum + 1) * (momentum + 2) // 2 if self.cartesian else 2 * momentum + 1

    @property
    def n_functions(self) -> int:
        """Number of basis functions in the shell."""
        return len(self.coefficients) * self.functions_per_radial


def contracted_shell(
    angular_momentum: int,
    exponents: ArrayLike,
    coefficients: ArrayLike,
    *,
    cartesian: bool = False,
) -> Shell:
    """Return the normalised shell for exponents and coefficients as basis set tables give them.

    Args:
        angular_momentum: l, 0 to 6.
        exponents: (k,) exponents, bohr^-2.
        coefficients: (k, n) or (k,) coefficients of normalised primitives.
        cartesian: whether the functions are Cartesian.

    Raises:
        ConfigurationError: if l is out of range, an exponent is not positive, the shapes do not
            fit, or a contraction vanishes.
    """
    alpha = np.asarray(exponents, dtype=np.float64) / BOHR**2
    table = np.asarray(coefficients, dtype=np.float64)
    table = table[:, None] if table.ndim == 1 else table
    if not 0 <= angular_momentum <= MAX_ANGULAR_MOMENTUM:
        raise ConfigurationError(
            f"A shell has angular momentum {angular_momentum}; only s to i (0 to 6) are supported."
        )
    if alpha.ndim != 1 or len(alpha) == 0 or table.shape[:1] != alpha.shape:
        raise ConfigurationError(
            f"A shell has {alpha.shape} exponents and {table.shape} coefficients; "
            "it needs one row of coefficients for each exponent."
        )
    if not ((alpha > 0).all() and np.isfinite(alpha).all() and np.isfinite(table).all()):
        raise ConfigurationError(
            "A shell has an exponent that is not positive or a value that is not finite."
        )
    radial = table.T * primitive_norms(angular_momentum, alpha)
    overlap = _radial_integral(angular_momentum, alpha[:, None] + alpha[None, :])
    norm = np.einsum("nk,kl,nl->n", radial, overlap, radial)
    if not (norm > 0).all():
        raise ConfigurationError("A contraction of a shell has only vanishing coefficients.")
    radial = radial / np.sqrt(norm)[:, None]
    return Shell(
        angular_momentum,
        tuple(alpha.tolist()),
        tuple(tuple(row) for row in radial.tolist()),
        cartesian,
    )


def primitive_norms(angular_momentum: int, exponents: ArrayLike) -> np.ndarray:
    """Return the factors that normalise ``r^l exp(-a r^2)``, for exponents a of any unit."""
    alpha = np.asarray(exponents, dtype=np.float64)
    return np.asarray(1 / np.sqrt(_radial_integral(angular_momentum, 2 * alpha)))


def _radial_integral(angular_momentum: int, exponent: np.ndarray) -> np.ndarray:
    """Return ``∫ r^(2l+2) exp(-exponent r^2) dr`` over r > 0."""
    power = angular_momentum + 1.5
    result: np.ndarray = math.gamma(power) / (2 * exponent**power)
    return result


@dataclass(frozen=True)
class BasisSet:
    """Shells of each element.

    Attributes:
        name: name of the basis set.
        elements: shells by chemical symbol, in the order of the basis functions.
    """

    name: str
    elements: Mapping[str, tuple[Shell, ...]]

    def shells(self, numbers: Iterable[int]) -> list[tuple[Shell, ...]]:
        """Return the shells of each atom, given atomic numbers.

        Raises:
            UnsupportedStructureError: if the basis set lacks an element.
        """
        symbols = [chemical_symbols[int(number)] for number in numbers]
        missing = sorted(set(symbols) - set(self.elements))
        if missing:
            raise UnsupportedStructureError(
                f"The basis set {self.name} as shipped has no functions for {', '.join(missing)}; "
                f"it covers {', '.join(self.elements)}."
            )
        return [self.elements[symbol] for symbol in symbols]


@lru_cache
def load_basis(name: str) -> BasisSet:
    """Return a basis set that ships with the package ("gth-dzvp").

    Raises:
        ConfigurationError: if there is none of that name.
    """
    folder = files("deepdft.fields.orbitals")
    known = sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".json"))
    if name not in known:
        raise ConfigurationError(
            f"There is no basis set named {name!r}; shipped are {', '.join(known)}."
            f"{did_you_mean(name, known)}"
        )
    table = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    elements = sorted(table["elements"], key=lambda symbol: atomic_numbers[symbol])
    return BasisSet(
        table["name"],
        {
            symbol: tuple(
                contracted_shell(
                    shell["angular_momentum"], shell["exponents"], shell["coefficients"]
                )
                for shell in table["elements"][symbol]
            )
            for symbol in elements
        },
    )
