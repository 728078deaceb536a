"""The architecture `equivariant` on a CPU, without torch."""

from __future__ import annotations

import numpy as np

from deepdft.architectures.equivariant.block_network import FieldNetwork
from deepdft.architectures.equivariant.filters import RadialFunctions
from deepdft.architectures.equivariant.interaction import EquivariantSteps
from deepdft.architectures.equivariant.options import EquivariantOptions
from deepdft.architectures.on_cpu.network import CompiledOnCpu
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.arrays import Array
from deepdft.kernels.angular.harmonics import harmonics
from deepdft.kernels.angular.layouts import AngularLayout
from deepdft.kernels.jets import Jet, inverse_root, linear, softplus
from deepdft.kernels.radial.filters import Filters


class PlainEquivariant:
    """The probes' part in NumPy, in float64.

    Args:
        options: of the network.
        weights: of the network, in float64.

    Attributes:
        layout: of the fields.
        filters: radial functions of the fields.
        linear, layers, output, unreached: as of `FieldNetwork`.
    """

    dtype = np.float64

    def __init__(self, options: EquivariantOptions, weights: Weights) -> None:
        self.layout = layout = AngularLayout(options.fields, options.softness)
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
        shrink = inverse_root(x * x + y * y + z * z + self.layout.softness**2)
        functions = harmonics(x * shrink, y * shrink, z * shrink, self.layout.largest)
        starts = self.layout.sender_starts
        columns = []
        for momentum, count in enumerate(self.layout.channels):
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


class EquivariantOnCpu(CompiledOnCpu[EquivariantOptions]):
    """Encodes atoms and evaluates probes."""

    _plain: PlainEquivariant

    def _plain_network(self) -> PlainEquivariant:
        return PlainEquivariant(self.options, self._weights)

    def _compiled_network(self, senders: Array) -> FieldNetwork:
        plain = self._plain
        return FieldNetwork(
            table=self._table.entries,
            senders=senders,
            layout=plain.layout,
            linear=plain.linear,
            hidden=plain.layers,
            output=plain.output,
            unreached=plain.unreached,
        )

    def _atom_steps(self) -> EquivariantSteps:
        own = self._weights.of_type(self.settings.precision)
        return EquivariantSteps(self.options, self.elements, own)

    def atom_features(self, senders: Array) -> Array:
        """Return the scalar coefficients and the lengths of the others, (atoms, fields)."""
        layout = self._plain.layout
        starts = layout.sender_starts
        columns = [senders[0, :, : starts[1]]]
        for momentum in range(1, layout.largest + 1):
            components = senders[0, :, starts[momentum] : starts[momentum + 1]]
            components = components.reshape(len(components), 2 * momentum + 1, -1)
            columns.append(np.linalg.norm(components, axis=1))
        return np.concatenate(columns, axis=1)
