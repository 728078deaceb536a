"""The frozen cores of a structure's atoms as a field."""

from __future__ import annotations

from functools import partial

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray
from deepdft.fields.field import Derivatives, Order
from deepdft.fields.free_atoms.kernels import add_cores
from deepdft.fields.free_atoms.tables import FreeAtomTables
from deepdft.fields.walk import BlockField
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.threads import available_threads, run_in_threads

_BLOCK_POINTS = 512


class FrozenCores(BlockField):
    """The core electrons of free atoms at the nuclei of a structure: a `Field`.

    What a valence density leaves out, as long as its pseudopotentials froze the same shells.

    Args:
        atoms: the structure, of any cell and periodicity.
        electrons: (atoms,) core electrons of each atom; 0 for none.
        threads: CPU threads; default: all that this process may use.

    Attributes:
        electrons: (atoms,) core electrons of each atom.

    Raises:
        UnsupportedStructureError: if there is no such core.
    """

    def __init__(self, atoms: Atoms, electrons: ArrayLike, threads: int | None = None) -> None:
        tables = FreeAtomTables.load()
        self.electrons: FloatArray = np.rint(np.asarray(electrons, dtype=np.float64))
        self._species, self._radial = tables.frozen_cores(atoms.numbers, self.electrons)
        reach = float(self._radial.reach.max())
        run = partial(run_in_threads, threads=threads or available_threads())
        super().__init__(atoms, tables.level, reach, run, [_BLOCK_POINTS] * 3)

    def block(
        self, points: FloatArray, search: NeighbourhoodSearch, order: Order
    ) -> FloatArray | Derivatives:
        """Return the values at points (n, 3), Å, that lie near each other."""
        result = self.empty((len(points),), order)
        value, gradient, hessian = np.empty(0), np.empty((0, 3)), np.empty((0, 3, 3))
        if isinstance(result, Derivatives):
            value, gradient = result.value, result.gradient
            hessian = hessian if result.hessian is None else result.hessian
        else:
            value = result
        images, positions = search.near_points(points)
        add_cores(
            value, gradient, hessian, points, self._species, images, positions,
            self._radial.polynomials, self._radial.step, self._radial.reach,
        )  # fmt: skip
        return result
