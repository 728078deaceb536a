"""The probe engine: atoms encoded once, then block after block of probes.

A block is a small box of probes. Its atoms come from one cell list; the network evaluates its
probes, and superposed atoms are added. Memory depends on the block, not on how many probes there
are. On a GPU with Triton, where the architecture suits it, all but the cell list happens there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.architectures.interface import CpuNetwork
from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid, as_points
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables, SuperposedAtoms
from deepdft.fields.atoms.block_superposition import BlockSuperposition
from deepdft.fields.field import CheckedField, Derivatives, Order
from deepdft.fields.walk import BlockWalk, into
from deepdft.geometry.neighbourhoods import NeighbourhoodSearch, moved_into_cell
from deepdft.levels import LevelOfTheory
from deepdft.prediction.electrons import (
    ElectronCount,
    ElectronTarget,
    counted,
    fragments,
    integrals_of,
)
from deepdft.prediction.evaluation import OnDevice, evaluated
from deepdft.threads import available_threads, run_in_threads

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel

T = TypeVar("T")
Values = TypeVar("Values", float, FloatArray)


class ProbeEngine(CheckedField):
    """Evaluates a network for one structure at any number of probes: a `Field`.

    Args:
        network: what evaluates the network, or a network in torch.
        baseline: atomic densities below the network, or None.
        atoms: the structure.
        threads: CPU threads; default: all that this process may use.
        senders: what the network's `encode` has returned for the structure before, (steps, atoms,
            channels).
        level: level of theory; where its densities are nowhere negative, negative values become
            zero.
        electrons: how many electrons there should be: the density is corrected to have them, see
            `deepdft.prediction.electrons`.
        amplitudes: (atoms,) of the correction, where the electrons have been counted before.

    Attributes:
        network: what evaluates the network.
        senders: what its `encode` returned.
        block_size: probes of a block, where no derivatives are asked for.

    Raises:
        UnsupportedStructureError: if the network does not know an element.
    """

    called = "A predicted density"

    def __init__(
        self,
        network: CpuNetwork | DensityModel,
        baseline: AtomicDensityTables | None,
        atoms: Atoms,
        threads: int | None = None,
        senders: Any = None,
        level: LevelOfTheory | None = None,
        electrons: ElectronTarget | None = None,
        amplitudes: FloatArray | None = None,
    ) -> None:
        self.network = evaluated(network)
        self.baseline = baseline
        self.atoms = atoms
        self.threads = threads or available_threads()
        self.level = level or LevelOfTheory()
        self.nonnegative = self.level.is_nonnegative
        self._superposition = None if baseline is None else BlockSuperposition(baseline, atoms)
        tables = [baseline, None if electrons is None else electrons.shapes]
        reach = max([self.network.cutoff, *(table.cutoff for table in tables if table is not None)])
        self.walk = BlockWalk(atoms, reach, self._run)
        self._electrons, self._amplitudes = electrons, amplitudes
        if senders is None:
            senders = self.network.encode(atoms, self.threads)
        self.senders = senders
        self._probes = self.network.probes(senders)
        self._isolated = self._limited(self._probes.isolated_density)
        self._on_device = (
            self.network.device_engine(senders, baseline, atoms, self._isolated)
            if isinstance(self.network, OnDevice)
            else None
        )
        self.block_size = self._probes.probes_per_block(0)

    @property
    def largest_order(self) -> Order:
        """Largest order of derivatives."""
        return 2

    @property
    def is_compiled(self) -> bool:
        """Whether blocks go through compiled code rather than torch."""
        return not isinstance(self.network, OnDevice)

    @property
    def is_fused(self) -> bool:
        """Whether blocks are made and evaluated wholly on a GPU."""
        return self._on_device is not None

    def probes_per_block(self, order: Order) -> int:
        """Return how many probes are evaluated at once, by order of the derivatives."""
        return self._probes.probes_per_block(order) if order else self.block_size

    def _at(self, points: FloatArray, order: Order) -> FloatArray | Derivatives:
        positions = moved_into_cell(points, self.atoms)
        if order:
            found = self._derivatives_without_atoms((len(positions),), order)
            block = partial(self._derivatives, order, self._correction)
            self.walk.points(positions, self.probes_per_block(order), block, found.assign)
            return found
        if len(positions) and self._on_device is not None and self._correction is not None:
            values = self._density_at(positions, None)
            return _finite(self._limited(values + self._corrections.at(positions)))
        return _finite(self._density_at(positions, self._correction))

    def _density_at(
        self, positions: FloatArray, correction: BlockSuperposition | None
    ) -> FloatArray:
        """Return the density at points within the cell; on a GPU without the correction."""
        result = self._without_atoms((len(positions),))
        if len(positions) and self._on_device is not None:
            return self._limited(self._on_device.at(positions, self.walk.search(positions)))
        block = partial(self._density, correction)
        self.walk.points(positions, self.block_size, block, into(result))
        return result

    def _box(self, grid: Grid, start: Index, stop: Index, order: Order) -> FloatArray | Derivatives:
        if order:
            shape = tuple(high - low for low, high in zip(start, stop, strict=True))
            found = self._derivatives_without_atoms(shape, order)
            blocks = partial(self._derivatives, order, self._correction)
            self.walk.grid(grid, start, stop, self.probes_per_block(order), blocks, found.assign)
            return found
        if self._on_device is not None and self._correction is not None:
            values = self._density_on(grid, start, stop, None)
            return _finite(self._limited(values + self._corrections.box(grid, start, stop)))
        return _finite(self._density_on(grid, start, stop, self._correction))

    def _density_on(
        self, grid: Grid, start: Index, stop: Index, correction: BlockSuperposition | None
    ) -> FloatArray:
        """Return the density on a box; on a GPU without the correction."""
        result = self._without_atoms([high - low for low, high in zip(start, stop, strict=True)])
        if result.size and self._on_device is not None:
            search = self.walk.grid_search(grid, start, stop)
            return self._limited(self._on_device.box(grid, start, stop, search))
        block = partial(self._density, correction)
        self.walk.grid(grid, start, stop, self.block_size, block, into(result))
        return result

    def uncounted(self) -> ProbeEngine:
        """Return the engine of the same density before its number of electrons is corrected.

        It serves where electrons are counted anyway; `correction_for` is what is then to be added.
        The engine itself is returned where it corrects nothing, has counted already, or has
        fragments with a number of electrons each.
        """
        if self._electrons is None or self._amplitudes is not None:
            return self
        if fragments(self.atoms, self._electrons.reach).any():
            return self
        return ProbeEngine(
            self.network, self.baseline, self.atoms, self.threads, self.senders, self.level
        )

    def correction_for(self, electrons: float) -> SuperposedAtoms:
        """Return what `uncounted` lacks if that holds so many electrons.

        Raises:
            ConfigurationError: if nothing is corrected.
        """
        target = self._electrons
        if target is None:
            raise ConfigurationError("The number of electrons is not corrected here.")
        missing = float(target.core_charges.sum()) - target.charge - electrons
        size = integrals_of(target.shapes, self.atoms).sum()
        amplitudes = np.full(len(self.atoms), missing / size)
        return SuperposedAtoms(target.shapes, self.atoms, amplitudes, self.threads)

    @cached_property
    def electron_count(self) -> ElectronCount | None:
        """The electrons of the density before it is corrected; None where it is not."""
        if self._electrons is None:
            return None

        return counted(
            _Uncorrected(self), self.atoms, self._electrons, self.baseline, self.network.cutoff,
            self.threads,
        )  # fmt: skip

    @cached_property
    def _correction(self) -> BlockSuperposition | None:
        """What is added to the density of a block, so that the number of electrons is right."""
        if self._electrons is None:
            return None
        if self._amplitudes is None:
            assert self.electron_count is not None
            self._amplitudes = self.electron_count.amplitudes
        return BlockSuperposition(self._electrons.shapes, self.atoms, self._amplitudes)

    @cached_property
    def _corrections(self) -> SuperposedAtoms:
        """The same as a field, for what a GPU has computed."""
        assert self._electrons is not None
        return SuperposedAtoms(
            self._electrons.shapes, self.atoms, self._amplitudes, threads=self.threads
        )

    def _density(
        self, correction: BlockSuperposition | None, points: FloatArray,
        search: NeighbourhoodSearch,
    ) -> FloatArray:  # fmt: skip
        """Density of probes that lie near each other."""
        result = self._without_atoms((len(points),))
        atoms, positions = search.near_points(points)
        if len(atoms) == 0:
            return result
        self._probes.density(points, atoms, positions, result)
        if self._superposition is not None:
            self._superposition.add_to(result, points, atoms, positions)
        result = self._limited(result)
        if correction is not None:
            correction.add_to(result, points, atoms, positions)
            result = self._limited(result)
        return result

    def _derivatives(
        self, order: Literal[1, 2], correction: BlockSuperposition | None, points: FloatArray,
        search: NeighbourhoodSearch,
    ) -> Derivatives:  # fmt: skip
        """Density and derivatives at probes that lie near each other."""
        result = self._derivatives_without_atoms((len(points),), order)
        atoms, positions = search.near_points(points)
        if len(atoms) == 0:
            return result
        self._probes.derivatives(points, atoms, positions, *result)
        if self._superposition is not None:
            self._superposition.add_derivatives_to(*result, points, atoms, positions)
        self._limit_derivatives(result)
        if correction is not None:
            correction.add_derivatives_to(*result, points, atoms, positions)
            self._limit_derivatives(result)
        return result

    def _limit_derivatives(self, result: Derivatives) -> None:
        if self.nonnegative:
            negative = result.value < 0.0
            for values in result:
                if values is not None:
                    values[negative] = 0.0

    def _limited(self, values: Values) -> Values:
        """Nothing below zero, where the density is known to be nowhere negative."""
        return np.maximum(values, 0.0) if self.nonnegative else values

    def _without_atoms(self, shape: Sequence[int]) -> FloatArray:
        """What the network says where no atom is in reach."""
        return np.full(shape, self._isolated) if self._isolated else np.zeros(shape)

    def _derivatives_without_atoms(self, shape: Sequence[int], order: Order) -> Derivatives:
        zeros = Derivatives.zeros(shape, order)
        zeros.value[...] = self._isolated
        return zeros

    def _run(self, work: Callable[[T], None], items: Sequence[T]) -> None:
        run_in_threads(work, items, self.threads)


@dataclass(frozen=True, eq=False)
class _Uncorrected:
    """The density of an engine without the correction of its electrons."""

    engine: ProbeEngine

    def at(self, points: ArrayLike) -> FloatArray:
        return self.engine._density_at(moved_into_cell(as_points(points), self.engine.atoms), None)

    def box(self, grid: Grid, start: Index, stop: Index) -> FloatArray:
        return self.engine._density_on(grid, start, stop, None)


def _finite(values: FloatArray) -> FloatArray:
    """Return values if all are finite.

    Raises:
        ConfigurationError: if one is not.
    """
    if not np.isfinite(values).all():
        raise ConfigurationError(
            "The model gives densities that are not finite for this structure: its weights are too "
            "large or damaged."
        )
    return values
