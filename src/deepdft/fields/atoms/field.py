"""Superposed spherical functions of a structure's atoms as a field."""

from __future__ import annotations

from functools import partial

from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.fields.atoms.block_superposition import BlockSuperposition
from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.fields.field import Derivatives, Order
from deepdft.fields.walk import BlockField
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch
from deepdft.threads import available_threads, run_in_threads

_BLOCK_POINTS = 512


class SuperposedAtoms(BlockField):
    """The sum of tabulated functions around the atoms of a structure and their images: a `Field`.

    Args:
        tables: spherical functions of the elements, e/Å^3.
        atoms: the structure, of any cell and periodicity.
        amplitudes: (atoms,) what each atom's function is multiplied with; by default nothing.
        threads: CPU threads; default: all that this process may use.

    Raises:
        UnsupportedStructureError: if an element has no table.
    """

    def __init__(
        self,
        tables: AtomicDensityTables,
        atoms: Atoms,
        amplitudes: FloatArray | None = None,
        threads: int | None = None,
    ) -> None:
        run = partial(run_in_threads, threads=threads or available_threads())
        super().__init__(atoms, tables.level, tables.cutoff, run, [_BLOCK_POINTS] * 3)
        self._superposition = BlockSuperposition(tables, atoms, amplitudes)

    def block(
        self, points: FloatArray, search: NeighbourhoodSearch, order: Order
    ) -> FloatArray | Derivatives:
        """Return the values at points (n, 3), Å, that lie near each other."""
        result = self.empty((len(points),), order)
        images = search.near_points(points)
        if isinstance(result, Derivatives):
            self._superposition.add_derivatives_to(*result, points, *images)
        else:
            self._superposition.add_to(result, points, *images)
        return result
