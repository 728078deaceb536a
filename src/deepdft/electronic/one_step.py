"""From a density to the first Fock matrix and the energies that bracket the ground state's.

For a density n, ``F = h + J[n] + V_xc[n]`` is diagonalised once. The sum of the energies of its
occupied orbitals gives Harris' functional, usually below the ground state's energy,

    E_H = 2 sum_i e_i - E_J[n] + E_xc[n] - int v_xc n + E_nuclei,

and the orbitals' density matrix the Kohn-Sham energy, always above it. Both errors are of second
order in the density's. (Harris, PRB 31, 1770 (1985); Foulkes and Haydock, PRB 39, 12520 (1989).)
All quantities are in atomic units.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.electronic.fitting import CoulombFitting, Fitting
from deepdft.errors import CalculationError
from deepdft.fields.field import Field
from deepdft.prediction.engine import ProbeEngine
from deepdft.units import BOHR

LARGEST_LOSS = 0.02
"""Share of the electrons by which a density's integral may be wrong."""


class GivenDensity(NamedTuple):
    """A density as far as the energy depends on it.

    Attributes:
        fitted: (auxiliary functions,) its Coulomb integrals, see `deepdft.electronic.fitting`.
        values: (1 or 4, points) of the grid, with its gradient for a GGA.
    """

    fitted: FloatArray
    values: FloatArray

    def mixed(self, other: GivenDensity, share: float) -> GivenDensity:
        """Return this density with a share of another one."""
        return GivenDensity(
            (1 - share) * self.fitted + share * other.fitted,
            (1 - share) * self.values + share * other.values,
        )


class Step(NamedTuple):
    """What one diagonalisation gives.

    Attributes:
        fock: (n, n) Fock matrix of the density that was given.
        energies: (n,) of the orbitals.
        orbitals: (n, n) coefficients, columns.
        matrix: (n, n) density matrix of the occupied orbitals; has `mo_coeff` and `mo_occ`.
        harris: E_H.
    """

    fock: FloatArray
    energies: FloatArray
    orbitals: FloatArray
    matrix: Any
    harris: float


class FockBuilder:
    """Matrices and energies of one molecule.

    Args:
        molecule: PySCF's, with all electrons paired.
        fitting: of the Coulomb potential, in an auxiliary basis.
        grids: PySCF's grid, built, or a part of it (`deepdft.electronic.occupied_points`).
        integration: integrates the functional.
        functional: its name in libxc.
        kind: "LDA" or "GGA".
        max_memory: MB that PySCF may use.
    """

    def __init__(
        self, molecule: Any, fitting: Fitting, grids: Any, integration: Any, functional: str,
        kind: str, max_memory: float,
    ) -> None:  # fmt: skip
        from pyscf.scf import hf

        self.molecule, self.kind = molecule, kind
        self.grids, self._integration = grids, integration
        self._functional, self._max_memory = functional, max_memory
        self.coulomb = CoulombFitting(fitting)
        self.core = np.asarray(hf.get_hcore(molecule))
        self.overlap = molecule.intor_symmetric("int1e_ovlp")
        self.repulsion = float(molecule.energy_nuc())

    def of_field(self, field: Field) -> GivenDensity:
        """Return a field on the grid, with the molecule's number of electrons.

        Raises:
            CalculationError: if its integral is far from that number.
        """
        points, weights = self.grids.coords, self.grids.weights
        values = _at_quadrature(field, points * BOHR, weights * BOHR**3, self.kind != "LDA")
        values[0] *= BOHR**3
        values[1:] *= BOHR**4
        electrons, held = self.molecule.nelectron, float(weights @ values[0])
        if abs(held - electrons) > LARGEST_LOSS * electrons:
            raise CalculationError(
                f"The density holds {held:.2f} electrons and the molecule has {electrons}; "
                "its charge or its core electrons are others."
            )
        values *= electrons / held
        return GivenDensity(self.coulomb.of_points(points, weights, values[0]), values)

    def of_matrix(self, matrix: Any) -> GivenDensity:
        """Return the density of a density matrix."""
        return GivenDensity(self.coulomb.of_matrix(np.asarray(matrix)), self._on_grid(matrix))

    def diagonalised(self, density: GivenDensity) -> Step:
        """Return the orbitals in the potential of a density, and its Harris energy."""
        from pyscf import lib

        energy, potential = self._functional_of(density, potential=True)
        weighted = potential * self.grids.weights
        matrix = self._integration.potential_on_grid(
            self.molecule, self.grids, weighted, self.kind, self._max_memory
        )
        fock = self.core + self.coulomb.matrix(density.fitted) + matrix
        energies, orbitals = scipy.linalg.eigh(fock, self.overlap)
        pairs = self.molecule.nelectron // 2
        occupied = orbitals[:, :pairs]
        occupations = np.where(np.arange(len(energies)) < pairs, 2.0, 0.0)
        tagged = lib.tag_array(2.0 * occupied @ occupied.T, mo_coeff=orbitals, mo_occ=occupations)
        harris = (
            2.0 * float(energies[:pairs].sum())
            - 0.5 * float(density.fitted @ density.fitted)
            + energy
            - float((weighted * density.values).sum())
            + self.repulsion
        )
        return Step(fock, energies, orbitals, tagged, harris)

    def kohn_sham(self, matrix: Any, density: GivenDensity) -> float:
        """Return the Kohn-Sham energy of a density matrix, whose density is given as well."""
        energy, _ = self._functional_of(density, potential=False)
        return (
            float(np.vdot(self.core, np.asarray(matrix)))
            + 0.5 * float(density.fitted @ density.fitted)
            + energy
            + self.repulsion
        )

    def level_shifts(self, step: Step, given: GivenDensity, found: GivenDensity) -> FloatArray:
        """Return by how much the orbitals' energies (n,) rise in another potential, to first order.

        It is the Coulomb potential of the orbitals' own density instead of that of the given one.
        What is wrong with levels is nearly all due to that; exchange and correlation are left out.

        Args:
            step: the orbitals.
            given: the density that they come from.
            found: that of their density matrix.
        """
        change = found.fitted - given.fitted
        if self.coulomb.is_kept:
            matrix = self.coulomb.matrix(change)
        else:
            weighted = self.coulomb.potential(self.grids.coords, change) * self.grids.weights
            matrix = self._integration.potential_on_grid(
                self.molecule, self.grids, weighted[None], "LDA", self._max_memory
            )
        shifts: FloatArray = np.einsum("ai,ai->i", step.orbitals, matrix @ step.orbitals)
        return shifts

    def _on_grid(self, matrix: Any) -> FloatArray:
        values: FloatArray = self._integration.density_on_grid(
            self.molecule, self.grids, matrix, self.kind, self._max_memory
        )
        return values

    def _functional_of(
        self, density: GivenDensity, potential: bool
    ) -> tuple[float, NDArray[np.float64]]:
        values = density.values if self.kind != "LDA" else density.values[0]
        evaluate: Callable[..., Any] = self._integration.eval_xc_eff
        order = 1 if potential else 0
        exc, vxc = evaluate(self._functional, values, deriv=order, xctype=self.kind, spin=0)[:2]
        energy = float((density.values[0] * self.grids.weights) @ exc)
        return energy, np.atleast_2d(vxc) if potential else np.empty(0)


def _at_quadrature(
    field: Field, points: FloatArray, weights: FloatArray, gradient: bool
) -> FloatArray:
    """Return a density (1, n) at points, Å, with their weights; with its gradient (4, n).

    An engine that would count its electrons on points of its own has them counted on these.
    """
    given = field.uncounted() if isinstance(field, ProbeEngine) else field
    values = _values(given, points, gradient)
    if isinstance(field, ProbeEngine) and given is not field:
        values += _values(field.correction_for(float(weights @ values[0])), points, gradient)
        if field.nonnegative:
            values[:, values[0] < 0.0] = 0.0
    return values


def _values(field: Field, points: FloatArray, gradient: bool) -> FloatArray:
    if not gradient:
        return field.at(points)[None]
    found = field.at(points, 1)
    return np.concatenate((found.value[None], found.gradient.T))
