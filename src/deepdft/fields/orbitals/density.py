"""Electron density of occupied orbitals in a Gaussian basis, at any point."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import torch
from ase import Atoms
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from deepdft.density import Density, Grid, as_points
from deepdft.errors import ConfigurationError
from deepdft.fields.orbitals.basis import BasisSet, Shell, load_basis
from deepdft.fields.orbitals.groups import FunctionGroup, group_functions
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.levels import LevelOfTheory

FUNCTION_THRESHOLD = 1e-9
"""Basis functions smaller than this (Å^-3/2) all over a block of points are left out there."""

_CHUNK = {"cpu": 4096, "cuda": 65536}
"""Points of a grid or scattered points evaluated at once."""

_MOST_VALUES = 1 << 25
"""Values of basis functions held at once for scattered points."""

_BIN = 4.0
"""Edge of the bins by which many scattered points are sorted, Å."""


class OrbitalDensity:
    """The density ``rho(r) = sum_i n_i |sum_a C[a, i] chi_a(r)|^2``, e/Å^3.

    For a periodic structure the basis functions are summed over all images in reach, which is
    the density at the Gamma point.

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
        self.atoms = atoms
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

    def _per_orbital(self, occupations: ArrayLike) -> NDArray[np.float64]:
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

    @cached_property
    def _groups(self) -> list[FunctionGroup]:
        return group_functions(self.shells, FUNCTION_THRESHOLD)

    def values_at(
        self,
        points: ArrayLike | Tensor,
        *,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Return the density at points (n, 3) in Å, shape (n,), e/Å^3.

        Differentiable with respect to the points if these are a tensor that requires gradients.

        Args:
            points: where.
            dtype: precision of the computation and of the result, float32 or float64.
            device: where to compute; the device of the points, or the CPU, by default.

        Raises:
            ConfigurationError: if the points are not (n, 3) or not finite.
        """
        return self._at(points, self.occupations, dtype, device)

    def spin_at(
        self,
        points: ArrayLike | Tensor,
        *,
        dtype: torch.dtype = torch.float64,
        device: str | torch.device | None = None,
    ) -> Tensor:
        """Return spin-up minus spin-down density; see `values_at`.

        Raises:
            ConfigurationError: as `values_at`, or if the orbitals carry no spin.
        """
        if self.spin_occupations is None:
            raise ConfigurationError("These orbitals are not spin-polarised.")
        return self._at(points, self.spin_occupations, dtype, device)

    def _at(
        self,
        points: ArrayLike | Tensor,
        occupations: NDArray[np.float64],
        dtype: torch.dtype,
        device: str | torch.device | None,
    ) -> Tensor:
        if isinstance(points, Tensor):
            if points.ndim != 2 or points.shape[1] != 3 or not bool(torch.isfinite(points).all()):
                raise ConfigurationError(
                    f"Points must be finite and of shape (n, 3), not {tuple(points.shape)}."
                )
            located = points.to(device=device, dtype=torch.float64)
        else:
            located = torch.from_numpy(as_points(points)).to(device=device)
        most = max(64, _MOST_VALUES // max(1, len(self.coefficients)))
        chunk = min(_CHUNK.get(located.device.type, 4096), most)
        weights = torch.as_tensor(occupations, dtype=dtype, device=located.device)
        with torch.set_grad_enabled(torch.is_grad_enabled() and located.requires_grad):
            if len(located) == 0:
                return located.sum(dim=1).to(dtype)
            if len(located) <= chunk:
                return weights @ self._orbitals(located, dtype) ** 2
            order = _by_region(located.detach())
            ordered = located[order]
            parts = [ordered[first : first + chunk] for first in range(0, len(ordered), chunk)]
            values = torch.cat([weights @ self._orbitals(part, dtype) ** 2 for part in parts])
            return values[torch.argsort(order)]

    def _orbitals(self, points: Tensor, dtype: torch.dtype) -> Tensor:
        """Return every orbital at points (p, 3) that share a region, (n_orbitals, p)."""
        box = points.detach()
        lower, upper = box.amin(dim=0).cpu().numpy(), box.amax(dim=0).cpu().numpy()
        table = torch.as_tensor(self.coefficients, dtype=dtype, device=points.device)
        orbitals = torch.zeros(table.shape[1], len(points), dtype=dtype, device=points.device)
        positions = self.atoms.positions
        cell, pbc = self.atoms.cell.array, self.atoms.pbc
        for group in self._groups:
            images = images_in_reach(positions[group.atoms], cell, pbc, lower, upper, group.reach)
            if len(images.atoms) == 0:
                continue
            centres = torch.from_numpy(images.positions).to(points.device)
            functions = group.evaluate(points, centres, dtype)
            carriers, first = np.unique(images.atoms, return_inverse=True)
            if len(carriers) < len(images.atoms):
                # Images share their coefficients: added up first, they are multiplied once.
                folded = functions.new_zeros(len(functions), len(carriers), len(points))
                where = torch.from_numpy(first.reshape(-1)).to(points.device)
                functions = folded.index_add(1, where, functions)
            else:
                carriers = images.atoms
            rows = torch.from_numpy(group.rows[:, carriers].ravel()).to(points.device)
            orbitals = torch.addmm(orbitals, table[rows].T, functions.flatten(0, 1))
        return orbitals

    def slab(
        self,
        grid: Grid,
        axis: int,
        start: int,
        stop: int,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> NDArray[np.floating[Any]]:
        """Return the density of layers start..stop-1 along `axis`, the slab's shape, e/Å^3.

        Computed block by block, so that memory beyond the result does not grow with the grid. In
        float32 the error is about 1e-6 of the largest value.

        Raises:
            ConfigurationError: if there are no such layers.
        """
        result: NDArray[np.floating[Any]] = self.slabs(
            grid, axis, start, stop, [self.occupations], dtype=dtype, device=device
        )[0]
        return result

    def slabs(
        self,
        grid: Grid,
        axis: int,
        start: int,
        stop: int,
        occupations: Sequence[NDArray[np.float64]],
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> NDArray[np.floating[Any]]:
        """Return `slab` for several sets of occupations (n_orbitals,) of the same orbitals.

        The orbitals are evaluated once. The result has one slab a set, shape (sets, mx, my, mz).

        Raises:
            ConfigurationError: if there are no such layers.
        """
        if axis not in (0, 1, 2) or not 0 <= start <= stop <= grid.shape[axis]:
            raise ConfigurationError(
                f"Layers {start} to {stop} of axis {axis} are outside the grid {grid.shape}."
            )
        first = [0, 0, 0]
        last = list(grid.shape)
        first[axis], last[axis] = start, stop
        shape = tuple(high - low for low, high in zip(first, last, strict=True))
        weights = torch.as_tensor(np.stack(occupations), dtype=dtype, device=device)
        result = np.empty((len(occupations), *shape), dtype=str(dtype).removeprefix("torch."))
        with torch.no_grad():
            for low, high in _blocks(first, last, _CHUNK["cpu"]):
                points = torch.from_numpy(grid.points(low, high).reshape(-1, 3)).to(device)
                values = weights @ self._orbitals(points, dtype).square_()
                where = tuple(slice(a - f, b - f) for a, b, f in zip(low, high, first, strict=True))
                block = tuple(b - a for a, b in zip(low, high, strict=True))
                result[(slice(None), *where)] = values.cpu().numpy().reshape(-1, *block)
        return result

    def on_grid(
        self,
        grid: Grid,
        *,
        dtype: torch.dtype = torch.float32,
        device: str | torch.device | None = None,
    ) -> Density:
        """Return the density, and the spin density if there is one, on a grid (see `slab`)."""
        occupations = [self.occupations]
        if self.spin_occupations is not None:
            occupations.append(self.spin_occupations)
        values = self.slabs(grid, 0, 0, grid.shape[0], occupations, dtype=dtype, device=device)
        spin = values[1] if len(values) > 1 else None
        return Density(self.atoms, grid, values[0], spin, self.level)


def _by_region(points: Tensor) -> Tensor:
    """Return an order in which points that follow one another are near, so that few atoms count."""
    bins = torch.floor((points - points.amin(dim=0)) / _BIN).to(torch.int64)
    counts = bins.amax(dim=0) + 1
    return torch.argsort((bins[:, 0] * counts[1] + bins[:, 1]) * counts[2] + bins[:, 2])


def _blocks(
    first: Sequence[int], last: Sequence[int], n_points: int
) -> Iterator[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Yield index boxes of at most about `n_points` points that are as cubic as can be."""
    extents = [high - low for low, high in zip(first, last, strict=True)]
    edges = [1, 1, 1]
    left = float(n_points)
    for rank, axis in enumerate(sorted(range(3), key=lambda axis: extents[axis])):
        edges[axis] = max(1, min(extents[axis], round(left ** (1 / (3 - rank)))))
        left /= edges[axis]
    ranges = [range(*span) for span in zip(first, last, edges, strict=True)]
    for i, j, k in product(*ranges):
        stop = [
            min(low + edge, high) for low, edge, high in zip((i, j, k), edges, last, strict=True)
        ]
        yield (i, j, k), (stop[0], stop[1], stop[2])
