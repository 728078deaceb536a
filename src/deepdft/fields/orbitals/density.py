"""Electron density of occupied orbitals in a Gaussian basis, at any point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, overload

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike, NDArray

from deepdft.arrays import FloatArray, Index
from deepdft.density import Density, Grid, as_points
from deepdft.errors import ConfigurationError
from deepdft.fields.field import Derivatives, Order, check_order
from deepdft.fields.orbitals.basis import BasisSet, Shell, load_basis
from deepdft.fields.orbitals.packing import Packed, Precision, pack
from deepdft.fields.orbitals.regions import Region, box_places, point_places
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.kernels.gaussians.densities import Basis, fill_densities, scratch
from deepdft.kernels.gaussians.polynomials import COMPONENTS
from deepdft.levels import LevelOfTheory
from deepdft.threads import available_threads, run_in_threads

_PIECES = 8
"""Pieces of the work for each thread; whoever is done takes the next."""


class OrbitalDensity:
    """The density ``rho(r) = sum_i n_i |sum_a C[a, i] chi_a(r)|^2``, e/Å^3: a `Field`.

    For a periodic structure the basis functions are summed over all images in reach, which is
    the density at the Gamma point. Functions below 1e-9 Å^-3/2 all over a block of points are left
    out, so that a value depends by up to about 1e-8 e/Å^3 on the points that it is asked for with.

    Attributes:
        atoms: the structure.
        shells: shells of each atom; basis functions are numbered atom by atom, shell by shell,
            radial function by radial function.
        coefficients: (n_functions, n_orbitals) orbital coefficients C.
        occupations: (n_orbitals,) electrons in each orbital.
        spin_occupations: None, or (n_orbitals,) contribution of each orbital to spin-up minus
            spin-down.
        level: level of theory.
    """

    largest_order: Order = 2

    def __init__(
        self,
        atoms: Atoms,
        basis: str | BasisSet | Sequence[tuple[Shell, ...]],
        coefficients: ArrayLike,
        occupations: ArrayLike = 2.0,
        level: LevelOfTheory | None = None,
        *,
        spin_occupations: ArrayLike | None = None,
    ) -> None:
        """Args are the attributes; `basis` is a shipped name, a basis set, or shells per atom.

        Raises:
            ConfigurationError: if the coefficients do not fit the basis, the occupations do not
                fit the coefficients, or a value is not finite.
            UnsupportedStructureError: if the basis set lacks an element.
        """
        if isinstance(basis, str):
            basis = load_basis(basis)
        self.atoms: Atoms = atoms.copy()
        self.shells = basis.shells(atoms.numbers) if isinstance(basis, BasisSet) else list(basis)
        self.level = level or LevelOfTheory()
        self.coefficients = np.asarray(coefficients)
        if self.coefficients.dtype not in (np.float32, np.float64):
            self.coefficients = self.coefficients.astype(np.float64)
        n_functions = sum(shell.n_functions for of_atom in self.shells for shell in of_atom)
        if len(self.shells) != len(atoms):
            raise ConfigurationError(
                f"There are shells for {len(self.shells)} atoms but {len(atoms)} atoms."
            )
        if self.coefficients.ndim != 2 or len(self.coefficients) != n_functions:
            raise ConfigurationError(
                f"The coefficients have shape {self.coefficients.shape} but the basis has "
                f"{n_functions} functions; the first axis must count basis functions."
            )
        self.occupations = self._per_orbital(occupations)
        self.spin_occupations = (
            None if spin_occupations is None else self._per_orbital(spin_occupations)
        )
        if not np.isfinite(self.coefficients).all():
            raise ConfigurationError("An orbital coefficient is not finite.")
        self._packed: dict[Precision, Packed] = {}
        self._basis_of_molecule: dict[Precision, Basis] = {}

    def _per_orbital(self, occupations: ArrayLike) -> FloatArray:
        values = np.asarray(occupations, dtype=np.float64)
        n_orbitals = self.coefficients.shape[1]
        if values.shape not in ((), (n_orbitals,)) or not np.isfinite(values).all():
            raise ConfigurationError(
                f"Occupations must be one finite number or {n_orbitals}, not {values.shape}."
            )
        return np.broadcast_to(values, (n_orbitals,)).copy()

    @property
    def n_electrons(self) -> float:
        """Number of electrons, the sum of the occupations (orbitals taken as normalised)."""
        return float(self.occupations.sum())

    @property
    def spin(self) -> OrbitalDensity:
        """The spin density, spin-up minus spin-down, as a field.

        Raises:
            ConfigurationError: if the orbitals carry no spin.
        """
        if self.spin_occupations is None:
            raise ConfigurationError("These orbitals are not spin-polarised.")
        return OrbitalDensity(
            self.atoms, self.shells, self.coefficients, self.spin_occupations, self.level
        )

    @overload
    def at(
        self, points: ArrayLike, order: Literal[0] = 0, *, dtype: Precision = ...,
        threads: int = ...,
    ) -> NDArray[Any]: ...  # fmt: skip
    @overload
    def at(
        self, points: ArrayLike, order: Literal[1, 2], *, dtype: Precision = ..., threads: int = ...
    ) -> Derivatives: ...
    def at(
        self, points: ArrayLike, order: Order = 0, *, dtype: Precision = np.float64,
        threads: int = 1,
    ) -> NDArray[Any] | Derivatives:  # fmt: skip
        """Return the density at points (n, 3) in Å, (n,), or with derivatives.

        Args:
            points: where.
            order: of the derivatives.
            dtype: precision of the computation and of the result, float32 or float64.
            threads: threads that share out the work.

        Raises:
            ConfigurationError: if the points are not (n, 3) or not finite, or the order is not 0,
                1 or 2.
        """
        check_order(order, self.largest_order, "A density of orbitals")
        located = as_points(points)
        result = np.zeros((1, COMPONENTS[order], len(located)), dtype)
        if len(located) and self.coefficients.size:
            self._fill(point_places(located), [self.occupations], dtype, result, threads)
        return _arranged(result[0])

    @overload
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Literal[0] = 0, *,
        dtype: Precision = ..., threads: int = ...,
    ) -> NDArray[Any]: ...  # fmt: skip
    @overload
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Literal[1, 2], *,
        dtype: Precision = ..., threads: int = ...,
    ) -> Derivatives: ...  # fmt: skip
    def box(
        self, grid: Grid, start: Index, stop: Index, order: Order = 0, *,
        dtype: Precision = np.float64, threads: int = 1,
    ) -> NDArray[Any] | Derivatives:  # fmt: skip
        """Return the density on the index box start:stop of a grid, (mx, my, mz), as `at`.

        In float32 the error is about 1e-6 of the largest value.

        Raises:
            ConfigurationError: if the box is not inside the grid, or the order is not 0, 1 or 2.
        """
        check_order(order, self.largest_order, "A density of orbitals")
        found = self._boxes(grid, start, stop, [self.occupations], order, dtype, threads)
        return _arranged(found[0])

    def boxes(
        self, grid: Grid, start: Index, stop: Index, occupations: Sequence[FloatArray], *,
        dtype: Precision = np.float64, threads: int = 1,
    ) -> NDArray[Any]:  # fmt: skip
        """Return `box` for several sets of occupations (n_orbitals,) of the same orbitals.

        The orbitals are evaluated once. The result has shape (sets, mx, my, mz).

        Raises:
            ConfigurationError: as `box`.
        """
        result = self._boxes(grid, start, stop, occupations, 0, dtype, threads)
        return result[:, 0]

    def _boxes(
        self, grid: Grid, start: Index, stop: Index, occupations: Sequence[FloatArray],
        order: Order, dtype: Precision, threads: int,
    ) -> NDArray[Any]:  # fmt: skip
        bounds = zip(start, stop, grid.shape, strict=True)
        if not all(0 <= low <= high <= size for low, high, size in bounds):
            raise ConfigurationError(f"The box {start} to {stop} is outside the grid {grid.shape}.")
        first, last = np.array(start), np.array(stop)
        result = np.zeros((len(occupations), COMPONENTS[order], *(last - first)), dtype)
        if result.size and self.coefficients.size:
            flat = result.reshape(*result.shape[:2], -1)
            self._fill(box_places(grid, first, last), occupations, dtype, flat, threads)
        return result

    def on_grid(
        self, grid: Grid, *, dtype: Precision = np.float32, threads: int | None = None
    ) -> Density:
        """Return the density, and the spin density if there is one, on a grid (see `box`).

        Args:
            grid: where.
            dtype: precision of the computation and of the result, float32 or float64.
            threads: threads that share out the work; as many as there are CPUs by default.
        """
        occupations = [self.occupations]
        if self.spin_occupations is not None:
            occupations.append(self.spin_occupations)
        threads = available_threads() if threads is None else threads
        values = self.boxes(grid, (0, 0, 0), grid.shape, occupations, dtype=dtype, threads=threads)
        spin = values[1] if len(values) > 1 else None
        return Density(self.atoms, grid, values[0], spin, self.level)

    def _pack(self, dtype: Precision) -> Packed:
        if dtype not in self._packed:
            self._packed[dtype] = pack(self.shells, self.coefficients, dtype)
        return self._packed[dtype]

    def _basis(self, region: Region, dtype: Precision) -> Basis:
        """Return the functions that may reach a region; of a molecule, all."""
        packed, positions = self._pack(dtype), self.atoms.positions
        if self.atoms.pbc.any():
            images = images_in_reach(
                positions, self.atoms.cell.array, self.atoms.pbc, region.lower, region.upper,
                packed.reach,
            )  # fmt: skip
            return packed.basis(images.atoms, images.positions)
        if dtype not in self._basis_of_molecule:
            every = np.arange(len(positions))
            self._basis_of_molecule[dtype] = packed.basis(every, positions)
        return self._basis_of_molecule[dtype]

    def _fill(
        self, region: Region, occupations: Sequence[FloatArray], dtype: Precision,
        result: NDArray[Any], threads: int,
    ) -> None:  # fmt: skip
        basis, orbitals = self._basis(region, dtype), self._pack(dtype).orbitals(occupations)

        def fill(span: tuple[int, int]) -> None:
            memory = scratch(basis, orbitals, result.shape[1])
            fill_densities(*span, region.places, basis, orbitals, memory, result)

        if threads == 1:
            fill((0, region.blocks))
            return
        bounds = np.linspace(0, region.blocks, _PIECES * threads + 1).astype(int).tolist()
        run_in_threads(fill, list(pairwise(bounds)), threads)


def _arranged(components: NDArray[Any]) -> NDArray[Any] | Derivatives:
    """Return components (1, 4 or 10, ...) as values or derivatives."""
    if len(components) == 1:
        values: NDArray[Any] = components[0]
        return values
    gradient = np.moveaxis(components[1:4], 0, -1)
    if len(components) == 4:
        return Derivatives(components[0], gradient, None)
    full = components[[4, 5, 6, 5, 7, 8, 6, 8, 9]].reshape(3, 3, *components.shape[1:])
    return Derivatives(components[0], gradient, np.moveaxis(full, (0, 1), (-2, -1)))
