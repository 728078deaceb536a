"""The architecture `deepdft`: equations (1)-(6) of Jørgensen & Bhowmik, 2020.

Where the paper leaves a choice: every W is affine; the Gaussians' spacing equals their width,
0.1 Å; probe step t reads the atom states after atom step t; the gate F_t is computed from the
message, as in the right-hand side of eq. (6), so that W4 and W6 form one product for all steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepdft.architectures import radial_jets as jets
from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.base import DensityModel
from deepdft.architectures.deepdft import DEEPDFT
from deepdft.architectures.deepdft.options import DeepDFTOptions
from deepdft.architectures.device_readout import DeviceReadout
from deepdft.architectures.layers import (
    GaussianBasis,
    StackedLinear,
    polynomial_cutoff,
    published_cutoff,
    softplus,
)
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.autograd.messages import direct_messages, filtered_messages
from deepdft.kernels.autograd.tables import RadialTable


class FilterNetwork(nn.Module):
    """Filters c(d) g(W3 g(W2 e(d))) of eq. (3) for all interaction steps."""

    def __init__(self, options: DeepDFTOptions) -> None:
        super().__init__()
        self.cutoff = options.cutoff
        self.smooth = options.envelope == "smooth"
        self.basis = GaussianBasis(options.cutoff, options.gaussian_width)
        n_gaussians = self.basis.centres.shape[0]
        self.W2 = StackedLinear(options.steps, n_gaussians, options.channels)
        self.W3 = StackedLinear(options.steps, options.channels, options.channels)

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to filters (steps, n, channels)."""
        hidden = softplus(self.W2(self.basis(distances)))
        return self._envelope(distances) * softplus(self.W3(hidden))

    def step(self, t: int, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to the filters of step `t` alone, (n, channels)."""
        hidden = softplus(self.W2.step(t, self.basis(distances)))
        return self._envelope(distances) * softplus(self.W3.step(t, hidden))

    def derivatives(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filters with their first and second derivative by distance."""
        hidden = jets.softplus_of(jets.affine(self.W2, jets.gaussians(self.basis, distances)))
        envelope = jets.soft_cutoff(distances, self.cutoff)
        if self.smooth:
            envelope = jets.product(envelope, jets.polynomial(distances, self.cutoff))
        columns = jets.Jet(*(part[:, None] for part in envelope))
        return jets.product(columns, jets.softplus_of(jets.affine(self.W3, hidden)))

    def _envelope(self, distances: Tensor) -> Tensor:
        envelope = published_cutoff(distances, self.cutoff)
        if self.smooth:
            envelope = envelope * polynomial_cutoff(distances, self.cutoff)
        return envelope[:, None]


class DeepDFT(DensityModel):
    """Message passing between atoms, then from atoms to probes, with gated probe updates."""

    architecture = DEEPDFT

    def __init__(self, options: DeepDFTOptions, elements: Sequence[int]) -> None:
        super().__init__(options, elements)
        steps, channels = options.steps, options.channels
        self.steps = steps
        self.smooth = options.envelope == "smooth"
        self.embedding = nn.Embedding(len(self.elements), channels)
        self.atom_filters = FilterNetwork(options)
        self.atom_W1 = StackedLinear(steps, channels, channels)
        self.atom_W4 = StackedLinear(steps, channels, channels)
        self.atom_W5 = StackedLinear(steps, channels, channels)
        self.probe_filter_network = FilterNetwork(options)
        self.probe_W1 = StackedLinear(steps, channels, channels)
        self.probe_W46 = StackedLinear(steps, channels, 2 * channels)
        self.probe_W5 = StackedLinear(steps, channels, channels)
        self.probe_W7 = StackedLinear(steps, channels, channels)
        self.readout_hidden = nn.Linear(channels, channels)
        self.readout_output = nn.Linear(channels, 1)

    def encode(self, graph: AtomGraph) -> Tensor:
        """Pass messages between atoms, eqs. (1), (3), (4); return what they send to probes."""
        steps = _AtomSteps(self)
        states = steps.initial(graph.numbers)
        after_step = []
        for t in range(self.steps):
            states = steps.update(t, states, steps.sent(t, states), graph.edges)
            after_step.append(states)
        sent_to_probes: Tensor = self.probe_W1(torch.stack(after_step))
        return sent_to_probes

    def atom_steps(self) -> AtomSteps[Tensor, Edges]:
        """Return `encode` one interaction step at a time."""
        return _AtomSteps(self)

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Filters of eq. (3) from atoms to probes."""
        filters: Tensor = self.probe_filter_network(distances)
        return filters

    def probe_table(self) -> RadialTable:
        """Return the probe filters as a table, differentiable in the weights."""
        return self._tabulate(self.probe_filter_network)

    def readout(self, messages: Tensor) -> Tensor:
        """Gated updates of the probe states, eqs. (5) and (6), and the readout network.

        With the smooth envelope the value of a probe without messages is subtracted, so that the
        density goes to zero continuously as the last atom leaves.
        """
        if not self.smooth:
            return self._node_network(messages)
        zero = messages.new_zeros((self.steps, 1, messages.shape[2]))
        return self._node_network(messages) - self._node_network(zero)

    def _node_network(self, messages: Tensor) -> Tensor:
        hidden = softplus(self.probe_W46(messages))
        for_update, for_gate = hidden.chunk(2, dim=2)
        update = self.probe_W5(for_update)
        gate = torch.sigmoid(self.probe_W7(for_gate))
        # The initial probe state is zero.
        state = (1.0 - gate[0]) * update[0]
        for t in range(1, self.steps):
            state = torch.lerp(update[t], state, gate[t])
        density: Tensor = self.readout_output(softplus(self.readout_hidden(state)))
        return density[:, 0]

    def device_readout(self) -> DeviceReadout | None:
        """Return the node networks in fused form, in float32 on a GPU."""
        from deepdft.architectures.deepdft import gpu as triton_gated

        if self.probe_W5.weight.shape[2] > triton_gated.LARGEST_WIDTH:
            return None
        return triton_gated.GatedReadout(**self._node_layers())

    def _node_layers(self) -> dict[str, Any]:
        return {
            "hidden": (self.probe_W46.weight, self.probe_W46.bias),
            "update": (self.probe_W5.weight, self.probe_W5.bias),
            "gate": (self.probe_W7.weight, self.probe_W7.bias),
            "readout_hidden": (self.readout_hidden.weight.T, self.readout_hidden.bias),
            "readout_output": (self.readout_output.weight[0], float(self.readout_output.bias)),
            "shift": -self._isolated_density() if self.smooth else 0.0,
        }

    def _isolated_density(self) -> float:
        """What the node network makes of no messages at all."""
        weight = self.readout_output.weight
        zero = weight.new_zeros((self.steps, 1, self.probe_W46.weight.shape[1]))
        with torch.no_grad():
            return float(self._node_network(zero))


class _AtomSteps:
    """Messages between atoms and the update of their states, eqs. (1), (3), (4)."""

    def __init__(self, model: DeepDFT) -> None:
        self.count = self.sends = model.steps
        self.channels = model.atom_W1.weight.shape[2]
        self._model = model
        direct = model.settings.filters == "direct"
        self._table = None if direct else model._tabulate(model.atom_filters)

    def initial(self, numbers: Tensor) -> Tensor:
        states: Tensor = self._model.embedding(self._model.species(numbers))
        return states

    def sent(self, step: int, states: Tensor) -> Tensor:
        return self._model.atom_W1.step(step, states)

    def update(self, step: int, states: Tensor, sent: Tensor, edges: Edges) -> Tensor:
        if self._table is None:
            filters = self._model.atom_filters.step(step, edges.distances)
            message = direct_messages(filters[None], sent[None], edges)[0]
        else:
            entries = self._table.entries[step : step + 1]
            one_step = RadialTable(entries, self._table.spacing)
            message = filtered_messages(one_step, sent[None], edges)[0]
        hidden = softplus(self._model.atom_W4.step(step, message))
        return states + self._model.atom_W5.step(step, hidden)

    def to_probes(self, step: int, states: Tensor) -> Tensor:
        return self._model.probe_W1.step(step, states)
