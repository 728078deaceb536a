"""Hirshfeld's charges: every atom gets its share of the density, as free atoms would share it.

Atom a gets rho_a / (rho_1 + rho_2 + ...) of the density at every point, with the densities of free
neutral atoms at the places of the nuclei (F. L. Hirshfeld, Theor. Chim. Acta 44, 129 (1977)).

The reference is the same for every level of theory: free, neutral, spherical atoms with all their
electrons (see `deepdft.fields.free_atoms`). The atoms below a network would not do: those of some
levels are fitted to compounds and not neutral, and those of metals are confined; charges from them
would mean something else for every level.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.errors import UnsupportedStructureError
from deepdft.fields.free_atoms.kernels import UNIT, share_out
from deepdft.fields.free_atoms.tables import FreeAtomTables
from deepdft.fields.reductions.reduction import Reduction, Subject
from deepdft.fields.walk import BlockWalk
from deepdft.threads import available_threads, run_in_threads

_BLOCK_POINTS = 512


class HirshfeldCharges(Reduction):
    """Net charges of the atoms, in elementary charges.

    Args:
        atoms: the structure.
        core_charges: (atoms,) charge of each nucleus with the electrons that the density leaves
            out.
    """

    name = "hirshfeld"
    unit = "e"
    on_request: ClassVar[bool] = True

    def __init__(self, atoms: Atoms, core_charges: FloatArray) -> None:
        self._atoms = atoms
        self._core_charges = core_charges
        self._species, self._radial = FreeAtomTables.load().free_atoms(atoms.numbers)
        self._populations = np.zeros(len(atoms), np.int64)
        self._walk: BlockWalk | None = None

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one, or None where cores or free atoms are not known."""
        if subject.core_charges is None:
            return None
        try:
            return cls(subject.atoms, subject.core_charges)
        except UnsupportedStructureError:
            return None

    def fresh(self) -> Self:
        """Return an empty one for the same subject."""
        other = object.__new__(type(self))
        vars(other).update(self.__getstate__(), _populations=np.zeros_like(self._populations))
        return other

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_walk": None}

    def add(self, grid: Grid, start: Index, stop: Index, values: Any) -> None:
        """Take in the values on a box."""
        if self._walk is None:
            run = partial(run_in_threads, threads=available_threads())
            self._walk = BlockWalk(self._atoms, float(self._radial.reach.max()), run)
        lock = threading.Lock()

        def share(place: Any, block: Any, shape: Any) -> None:
            points, images, positions = block
            electrons = np.asarray(values[place], np.float64).ravel() * grid.voxel_volume
            shares = share_out(
                electrons, points, self._species, images, positions, self._radial.polynomials,
                self._radial.step, self._radial.reach,
            )  # fmt: skip
            with lock:
                np.add.at(self._populations, images, shares)

        self._walk.grid(
            grid, start, stop, _BLOCK_POINTS,
            lambda points, search: (points, *search.near_points(points)), share,
        )  # fmt: skip

    def merge(self, other: Self) -> None:
        """Take in what another one has taken in."""
        self._populations += other._populations

    def result(self) -> list[float]:
        """Return the charge of each atom, e."""
        charges: list[float] = (self._core_charges - self._populations * UNIT).tolist()
        return charges

    @staticmethod
    def difference(one: Any, other: Any) -> float:
        """Return the mean absolute difference of the charges, e."""
        return float(np.abs(np.subtract(one, other)).mean())
