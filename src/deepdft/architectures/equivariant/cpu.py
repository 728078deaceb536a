"""The architecture `equivariant` on a CPU, without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.architectures.equivariant.block_network import FieldNetwork
from deepdft.architectures.equivariant.filters import RadialFunctions
from deepdft.architectures.equivariant.interaction import EquivariantSteps
from deepdft.architectures.equivariant.options import EquivariantOptions
from deepdft.architectures.interface import Allocator, ProbeNetwork
from deepdft.architectures.on_cpu.compiled import CompiledProbes
from deepdft.architectures.on_cpu.elements import known_elements
from deepdft.architectures.on_cpu.encoding import CHUNK_ATOMS, encode
from deepdft.architectures.on_cpu.plain import PlainProbes
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.architectures.settings import EvaluationSettings
from deepdft.kernels.angular.harmonics import harmonics
from deepdft.kernels.angular.layouts import AngularLayout
from deepdft.kernels.jets import Jet, inverse_root, linear, softplus
from deepdft.kernels.radial.filters import Filters, RadialTable, tabulated

Array = NDArray[Any]


class EquivariantOnCpu:
    """Encodes atoms and evaluates probes; see `deepdft.architectures.interface.CpuNetwork`.

    Args:
        options: of the network.
        elements: atomic numbers that it knows.
        weights: by name.
        settings: how to evaluate it.

    Raises:
        FileFormatError: if the weights do not fit the options.
    """

    def __init__(
        self,
        options: EquivariantOptions,
        elements: Sequence[int],
        weights: Mapping[str, Array],
        settings: EvaluationSettings,
    ) -> None:
        self.options, self.settings = options, settings
        self.elements = known_elements(elements)
        self.cutoff, self.atom_cutoff = float(options.cutoff), float(options.atom_cutoff)
        self.chunk_atoms = CHUNK_ATOMS
        self._layout = AngularLayout(options.fields, options.softness)
        self._weights = Weights(weights, np.float64)
        self._plain = PlainEquivariant(options, self._weights)
        self._compiled = settings.precision == "float32" and settings.filters == "tabulated"

    def encode(
        self, atoms: Atoms, threads: int | None = None, allocate: Allocator = np.empty
    ) -> Array:
        """Return the coefficients of the atoms' fields, (1, atoms, n)."""
        return encode(self._steps, atoms, self.atom_cutoff, threads, allocate, self.chunk_atoms)

    def probes(self, senders: Array) -> ProbeNetwork:
        """Return what evaluates probes."""

        def exact() -> PlainProbes:
            plain = PlainEquivariant(self.options, self._weights)
            if self.settings.filters == "tabulated":
                plain.filters = self._table
            return PlainProbes(plain, senders, self.cutoff)

        if not self._compiled:
            return exact()
        plain = self._plain
        network = FieldNetwork(
            table=self._table.entries,
            senders=senders,
            layout=self._layout,
            linear=plain.linear,
            hidden=plain.layers,
            output=plain.output,
            unreached=plain.unreached,
        )
        return CompiledProbes(network, self._table, self.cutoff, exact)

    def atom_features(self, senders: Array) -> Array:
        """Return the scalar coefficients and the lengths of the others, (atoms, fields)."""
        starts = self._layout.sender_starts
        columns = [senders[0, :, : starts[1]]]
        for momentum in range(1, self._layout.largest + 1):
            components = senders[0, :, starts[momentum] : starts[momentum + 1]]
            components = components.reshape(len(components), 2 * momentum + 1, -1)
            columns.append(np.linalg.norm(components, axis=1))
        return np.concatenate(columns, axis=1)

    @cached_property
    def _table(self) -> RadialTable:
        return tabulated(self._plain.filters, self.cutoff, self.settings.table_spacing)

    @cached_property
    def _steps(self) -> EquivariantSteps:
        own = self._weights.of_type(self.settings.precision)
        return EquivariantSteps(self.options, self.elements, own)


class PlainEquivariant:
    """The probes' part in NumPy, in float64.

    Args:
        options: of the network.
        weights: of the network, in float64.

    Attributes:
        filters: radial functions of the fields.
        linear, layers, output, unreached: as of `FieldNetwork`.
    """

    dtype = np.float64

    def __init__(self, options: EquivariantOptions, weights: Weights) -> None:
        self._layout = layout = AngularLayout(options.fields, options.softness)
        self.filters: Filters = RadialFunctions(
            weights, "probe_functions", options.cutoff, options.gaussian_width, layout.width
        )
        self.linear = weights("linear", layout.width)
        self.layers = [
            weights.linear("hidden1", layout.width, options.hidden),
            weights.linear("hidden2", options.hidden, options.hidden),
        ]
        self.output = weights("output.weight", 1, options.hidden)[0]
        self.unreached = self._hidden(Jet.constant(np.zeros((1, layout.width)))).value[0]

    def factors(self, sent: Array, positions: Jet) -> Jet:
        """Return the atoms' coefficients contracted with the softened spherical harmonics."""
        x, y, z = (positions.map(lambda part, i=i: part[:, i]) for i in range(3))
        shrink = inverse_root(x * x + y * y + z * z + self._layout.softness**2)
        functions = harmonics(x * shrink, y * shrink, z * shrink, self._layout.largest)
        starts = self._layout.sender_starts
        columns = []
        for momentum, count in enumerate(self._layout.channels):
            total = Jet.constant(np.zeros((sent.shape[1], count)), positions)
            for i in range(2 * momentum + 1):
                first = starts[momentum] + i * count
                function = functions[momentum**2 + i].map(lambda part: part[..., None])
                total = total + function * sent[0, :, first : first + count]
            columns.append(total)
        return Jet(*(
            np.concatenate(parts, axis=-1)
            for parts in zip(*((c.value, c.first, c.second) for c in columns), strict=True)
        )).map(lambda part: part[:, None])  # fmt: skip

    def readout(self, messages: Jet) -> Jet:
        """Map fields to densities; no fields give zero."""
        fields = messages.map(lambda part: part[:, 0])
        change = self._hidden(fields) + -self.unreached
        density = linear(fields, self.linear[:, None]) + linear(change, self.output[:, None])
        return density.map(lambda part: part[..., 0])

    def _hidden(self, fields: Jet) -> Jet:
        first, second = self.layers
        return softplus(linear(softplus(linear(fields, *first)), *second))
