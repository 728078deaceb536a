"""Fields made of a density's gradient and Hessian that show bonds and contacts.

All are in atomic units (electrons, bohr), as the literature gives their values.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar, Literal

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.errors import ConfigurationError
from deepdft.fields.field import CheckedField, Derivatives, Field, Order
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR


class Indicator(CheckedField):
    """A field of order 0 that is a function of a density and its derivatives.

    Args:
        density: a field with derivatives up to `needs`.

    Attributes:
        needs: order of the derivatives that it is made of.

    Raises:
        ConfigurationError: if the density has no such derivatives.
    """

    needs: ClassVar[Literal[1, 2]] = 2
    largest_order: Order = 0

    def __init__(self, density: Field) -> None:
        if density.largest_order < self.needs:
            raise ConfigurationError(
                f"{type(self).__name__} needs derivatives of the density up to order {self.needs}, "
                f"and this one has them up to order {density.largest_order}."
            )
        self._density = density

    @property
    def atoms(self) -> Atoms:
        """The structure."""
        return self._density.atoms

    @property
    def level(self) -> LevelOfTheory:
        """Level of theory."""
        return self._density.level

    @abstractmethod
    def values(self, found: Derivatives) -> FloatArray:
        """Return the values where a density in atomic units and its derivatives are known."""

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        return self.values(_in_atomic_units(self._density.at(points, self.needs)))

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        return self.values(_in_atomic_units(self._density.box(grid, start, stop, self.needs)))


class InteractionRegion(Indicator):
    """IRI = |grad rho| / rho^1.1: small where atoms touch, by bonds or by weak contacts.

    T. Lu and Q. Chen, Chemistry-Methods 1, 231 (2021). Isosurfaces are drawn at about 1. Where the
    density is below 5e-5 e/bohr^3 it is set to 5, as the authors' program Multiwfn does.
    """

    needs = 1
    exponent = 1.1
    least_density = 5e-5
    elsewhere = 5.0

    def values(self, found: Derivatives) -> FloatArray:
        """Return the indicator."""
        known = found.value >= self.least_density
        density = np.where(known, found.value, 1.0)
        size = np.linalg.norm(found.gradient, axis=-1)
        result: FloatArray = np.where(known, size / density**self.exponent, self.elsewhere)
        return result


class DensityOverlapRegion(Indicator):
    """DORI, between 0 and 1: near 1 where the densities of two atoms or shells overlap.

    theta / (1 + theta) with theta = |grad k^2|^2 / k^6, k = grad rho / rho: P. de Silva and C.
    Corminboeuf, J. Chem. Theory Comput. 10, 3745 (2014). Isosurfaces are drawn at 0.9. Where the
    density is below 1e-5 e/bohr^3 it is set to 0.
    """

    least_density = 1e-5

    def values(self, found: Derivatives) -> FloatArray:
        """Return the indicator."""
        assert found.hessian is not None
        known = found.value >= self.least_density
        density = np.where(known, found.value, 1.0)
        k = found.gradient / density[..., None]
        square = (k**2).sum(axis=-1)
        turned = np.einsum("...ij,...j->...i", found.hessian, k) / density[..., None]
        change = 4 * ((turned - square[..., None] * k) ** 2).sum(axis=-1)
        whole = change + square**3
        # At a critical point both vanish, the second one faster.
        ratio = np.where(whole > 0, change / np.where(whole > 0, whole, 1.0), 1.0)
        result: FloatArray = np.where(known, ratio, 0.0)
        return result


class HessianEigenvalue(Indicator):
    """One of the three eigenvalues of the Hessian of the density, e/bohr^5.

    The sign of the middle one tells attraction (negative) from repulsion where IRI or DORI find a
    contact.

    Args:
        density: a field with derivatives up to order 2.
        number: 1 for the smallest, 2 for the middle one, 3 for the largest.
    """

    def __init__(self, density: Field, number: Literal[1, 2, 3] = 2) -> None:
        super().__init__(density)
        if number not in (1, 2, 3):
            raise ConfigurationError(f"A Hessian has the eigenvalues 1, 2 and 3, not {number}.")
        self._place = number - 1

    def values(self, found: Derivatives) -> FloatArray:
        """Return the eigenvalue."""
        assert found.hessian is not None
        return np.asarray(np.linalg.eigvalsh(found.hessian)[..., self._place], dtype=np.float64)


def _in_atomic_units(found: Derivatives) -> Derivatives:
    hessian = None if found.hessian is None else found.hessian * BOHR**5
    return Derivatives(found.value * BOHR**3, found.gradient * BOHR**4, hessian)
