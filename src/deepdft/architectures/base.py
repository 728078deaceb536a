"""What every architecture provides, and what it gets for it.

Most architectures say how atoms are encoded (`encode`), which functions of distance weigh a message
to a probe (`probe_filters`) and how the summed messages become a density (`readout`). Training,
grids, lists of points and large systems are built on these three alone:

    senders  = model.encode(graph)                                (steps, atoms, channels)
    messages = sum over edges of senders * probe_filters          (steps, probes, channels)
    density  = model.readout(messages)                            (probes,)

One whose probes need more than such sums (directions, or their own state on the way) implements
`encode` and `density` instead; what atoms send is then its own affair.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.derivatives import (
    ProbeDerivatives,
    differentiate_messages,
    differentiate_positions,
)
from deepdft.architectures.device_readout import DeviceReadout
from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.registry import Architecture
from deepdft.architectures.settings import EvaluationSettings
from deepdft.errors import UnsupportedStructureError
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.autograd.messages import direct_messages, filtered_messages
from deepdft.kernels.autograd.tables import RadialTable, tabulate

TRAINING_SPACING = 0.04
"""Distance between knots while training, Å: a table a step, at 1e-6 of the filters' amplitude."""


_BEYOND_CUTOFF = 1.0
"""How far beyond the cutoff probes are drawn to train a constant, Å."""


class DensityModel(nn.Module):
    """Base of all architectures.

    Attributes:
        options: the architecture's options.
        elements: atomic numbers the model knows, ascending.
        cutoff: reach of an edge from an atom to a probe, Å.
        atom_cutoff: reach of an edge between atoms, Å; `cutoff` unless an architecture says
            otherwise.
        architecture: what the architecture is called and what it can do.
        settings: how it is evaluated; the type of its parameters is that of the computation,
            whatever `EvaluationSettings.precision` says.
        probes_per_block: probes that `density` takes best at once on a CPU, given a table, or None.
    """

    architecture: ClassVar[Architecture]
    probes_per_block: ClassVar[int | None] = None

    def __init__(self, options: ArchitectureOptions, elements: Sequence[int]) -> None:
        super().__init__()
        if not elements:
            raise UnsupportedStructureError("A model needs at least one element.")
        self.options = options
        self.elements = tuple(sorted({int(z) for z in elements}))
        self.cutoff = float(options.cutoff)
        self.atom_cutoff = self.cutoff
        self.settings = EvaluationSettings()
        species = torch.full((119,), -1, dtype=torch.int64)
        species[list(self.elements)] = torch.arange(len(self.elements))
        self.register_buffer("_species_of_number", species, persistent=False)

    # What an architecture implements.

    def encode(self, graph: AtomGraph) -> Tensor:
        """Return what the atoms send to probes, (steps, atoms, channels)."""
        raise NotImplementedError

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Return the filters at distances (n,) in Å, their cutoff included: (steps, n, channels).

        Must be differentiable twice in forward mode, at 0 as well.
        """
        raise NotImplementedError

    def readout(self, messages: Tensor) -> Tensor:
        """Map messages (steps, probes, channels) to densities (probes,) in e/Å^3."""
        raise NotImplementedError

    def atom_steps(self) -> AtomSteps[Tensor, Edges] | None:
        """Return `encode` one interaction step at a time, for large structures, if there is one.

        Optional: without it structures of any size are encoded at once.
        """
        return None

    def device_readout(self) -> DeviceReadout | None:
        """Return a fused form of `readout` on a GPU with Triton, if there is one.

        Optional: without it summed messages go through `readout` in torch.
        """
        return None

    def atom_features(self, senders: Tensor) -> Tensor:
        """Return numbers that tell atoms in different surroundings apart, (atoms, features).

        They must not change when the structure turns. By default all that atoms send, which is
        right where it consists of scalars.

        Args:
            senders: what `encode` returned, or some of its atoms.
        """
        return senders.transpose(0, 1).flatten(1)

    # What follows for all.

    def species(self, numbers: Tensor) -> Tensor:
        """Return the index of each atomic number in `elements`.

        Raises:
            UnsupportedStructureError: naming the elements that the model does not know.
        """
        lookup: Tensor = self._species_of_number  # type: ignore[assignment]
        found = lookup[numbers.clamp(0, 118)]
        if bool((found < 0).any()):
            unknown = sorted({int(z) for z in numbers[found < 0]})
            raise UnsupportedStructureError(
                f"The model does not know {', '.join(chemical_symbols[z] for z in unknown)}; "
                f"it was trained on {', '.join(chemical_symbols[z] for z in self.elements)}."
            )
        return found

    def probe_table(self) -> RadialTable | None:
        """Return the probe filters as a table, differentiable in the weights.

        None if an architecture has no filters of distance alone.
        """
        return self._tabulate(self.probe_filters)

    def messages(self, senders: Tensor, edges: Edges, table: RadialTable | None = None) -> Tensor:
        """Sum the messages to probes, (steps, probes, channels)."""
        table = self.table_in_use(table)
        if table is None:
            return direct_messages(self.probe_filters(edges.distances), senders, edges)
        return filtered_messages(table, senders, edges)

    def table_in_use(self, table: RadialTable | None) -> RadialTable | None:
        """Return the given or a new probe table, or None where filters are evaluated directly."""
        if self.settings.filters == "direct":
            return None
        return self.probe_table() if table is None else table

    def density(self, senders: Tensor, edges: Edges, table: RadialTable | None = None) -> Tensor:
        """Return the density at probes, (probes,) e/Å^3, from encoded atoms.

        Probes without an atom in reach get exactly zero.
        """
        value = self.readout(self.messages(senders, edges, table))
        return torch.where(edges.in_reach, value, torch.zeros_like(value))

    def isolated_density(self, senders: Tensor, table: RadialTable | None = None) -> float:
        """Return the density of a probe with no atom in reach, e/Å^3.

        Args:
            senders: what `encode` returned.
            table: what `probe_table` returned.
        """
        if not self.architecture.keeps_constant:
            return 0.0
        with torch.no_grad():
            return float(self.density(senders, no_edges(senders), table))

    @property
    def sampling_reach(self) -> float:
        """How far from an atom training looks for probes, Å.

        Beyond the cutoff there is nothing to learn but the constant of those that keep one.
        """
        return self.cutoff + (_BEYOND_CUTOFF if self.architecture.keeps_constant else 0.0)

    def derivatives(
        self, senders: Tensor, edges: Edges, table: RadialTable | None, order: int
    ) -> ProbeDerivatives:
        """Return density, gradient and, for order 2, Hessian by the position of the probes.

        Either `density`, or `readout` where the density follows from it, has to be differentiable
        as often by autograd; a probe's density must not depend on other probes.

        Args:
            senders: what `encode` returned.
            edges: from atoms to probes, with vectors.
            table: what `probe_table` returned, or None for direct filters.
            order: 1 or 2.
        """
        if table is None or not self.architecture.sums_messages:
            return differentiate_positions(self, senders, edges, table, order)
        return differentiate_messages(self, senders, edges, table, order)

    def forward(self, graph: AtomGraph, edges: Edges) -> Tensor:
        """Return the density at probes, (probes,) e/Å^3."""
        return self.density(self.encode(graph), edges)

    def _tabulate(self, filters: Any) -> RadialTable:
        parameter = next(self.parameters())
        spacing = TRAINING_SPACING if self.training else self.settings.table_spacing
        return tabulate(
            filters, self.cutoff, spacing, dtype=parameter.dtype, device=parameter.device
        )


def no_edges(like: Tensor) -> Edges:
    """Return the edges of one probe with no atom in reach; device and type are those of `like`."""
    nothing = like.new_zeros(0)
    offsets = torch.zeros(2, dtype=torch.int64, device=like.device)
    return Edges(nothing.int(), offsets, nothing, like.new_zeros((0, 3)))
