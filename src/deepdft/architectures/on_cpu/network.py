"""A network on a CPU whose probes have a compiled form, in float32 and from tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np
from ase import Atoms

from deepdft.architectures.interface import Allocator, ProbeNetwork
from deepdft.architectures.on_cpu.compiled import CompiledNetwork, CompiledProbes
from deepdft.architectures.on_cpu.elements import known_elements
from deepdft.architectures.on_cpu.encoding import CHUNK_ATOMS, CpuAtomSteps, encode
from deepdft.architectures.on_cpu.plain import PlainNetwork, PlainProbes
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Array
from deepdft.kernels.radial.filters import RadialTable, tabulated

Options = TypeVar("Options", bound=ArchitectureOptions)


class CompiledOnCpu(ABC, Generic[Options]):
    """Encodes atoms and evaluates probes; see `deepdft.architectures.interface.CpuNetwork`.

    Args:
        options: of the network.
        elements: atomic numbers that it knows.
        weights: by name.
        settings: how to evaluate it.

    Raises:
        FileFormatError: if the weights do not fit the options.
    """

    _plain: PlainNetwork

    def __init__(
        self,
        options: Options,
        elements: Sequence[int],
        weights: Mapping[str, Array],
        settings: EvaluationSettings,
    ) -> None:
        self.options, self.settings = options, settings
        self.elements = known_elements(elements)
        self.cutoff = float(options.cutoff)
        self.atom_cutoff = float(getattr(options, "atom_cutoff", self.cutoff))
        self.chunk_atoms = CHUNK_ATOMS
        self._weights = Weights(weights, np.float64)
        self._plain = self._plain_network()
        self._compiled = settings.precision == "float32" and settings.filters == "tabulated"

    @abstractmethod
    def _plain_network(self) -> PlainNetwork:
        """Return the probes' part in NumPy, in float64, with filters that are evaluated."""

    @abstractmethod
    def _compiled_network(self, senders: Array) -> CompiledNetwork:
        """Return the probes' part in compiled form."""

    @abstractmethod
    def _atom_steps(self) -> CpuAtomSteps:
        """Return the atoms' part."""

    def encode(
        self, atoms: Atoms, threads: int | None = None, allocate: Allocator = np.empty
    ) -> Array:
        """Return what the atoms send to probes, (steps, atoms, channels)."""
        return encode(self._steps, atoms, self.atom_cutoff, threads, allocate, self.chunk_atoms)

    def probes(self, senders: Array) -> ProbeNetwork:
        """Return what evaluates probes."""

        def exact() -> PlainProbes:
            plain = self._plain_network()
            if self.settings.filters == "tabulated":
                plain.filters = self._table
            return PlainProbes(plain, senders, self.cutoff)

        if not self._compiled:
            return exact()
        return CompiledProbes(self._compiled_network(senders), self._table, self.cutoff, exact)

    def atom_features(self, senders: Array) -> Array:
        """Return all that atoms send, (atoms, features)."""
        return senders.transpose(1, 0, 2).reshape(senders.shape[1], -1)

    @cached_property
    def _table(self) -> RadialTable:
        return tabulated(self._plain.filters, self.cutoff, self.settings.table_spacing)

    @cached_property
    def _steps(self) -> CpuAtomSteps:
        return self._atom_steps()
