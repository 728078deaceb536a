"""The architecture `released-schnet`: what the authors released as DeepDFT's SchNet form.

It differs from the paper (`deepdft.architectures.deepdft.model`) in three places. A message depends
on sender and receiver: a network of both states times a network of the distance, neither with an
activation at its end. The gate of a probe is a network of its state before the update. The
activation is softplus - ln 2. With s a network of two affine maps and g(x) = ln(1 + exp(x)) - ln 2
between:

    m_v = sum over w of  s_node([h_w, h_v]) * c(d) s_edge(e(d))
    atoms:   h_v <- h_v + s(m_v)
    probes:  h_v <- F h_v + (1 - F) s(m_v),   F = sigmoid(s_gate(h_v))

What follows from the equations and saves work: s_edge is tabulated; the first map of s_node is a
sum of a part of the sender and a part of the receiver, each computed once a vertex; all probes
begin with the same state, so their first message depends on the sender alone and their first gate
is one row. A product of 2 F by F is left on every edge in the other steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from deepdft.architectures import radial_jets as jets
from deepdft.architectures.base import DensityModel
from deepdft.architectures.layers import (
    GaussianBasis,
    StackedLinear,
    published_cutoff,
    shifted_softplus,
    softplus,
)
from deepdft.architectures.released_schnet import RELEASED_SCHNET
from deepdft.architectures.released_schnet.options import ReleasedSchNetOptions
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.autograd.messages import direct_messages, filtered_messages
from deepdft.kernels.autograd.tables import RadialTable


class TwoLayers(nn.Module):
    """Affine map, softplus - ln 2, affine map: the network s of every step."""

    def __init__(self, steps: int, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden = StackedLinear(steps, inputs, hidden)
        self.output = StackedLinear(steps, hidden, outputs)

    def step(self, t: int, x: Tensor) -> Tensor:
        """Apply the network of step `t` to `x` (n, inputs)."""
        return self.after_hidden(t, self.hidden.step(t, x))

    def after_hidden(self, t: int, hidden: Tensor) -> Tensor:
        """Apply what follows the first map of step `t` to `hidden` (n, hidden)."""
        # The shift goes into the bias: another pass through the hidden layer of every edge less.
        weight = self.output.weight[t]
        bias = self.output.bias[t] - math.log(2.0) * weight.sum(dim=0)
        return torch.addmm(bias, softplus(hidden), weight)


class DistanceFilters(TwoLayers):
    """Filters c(d) s_edge(e(d)) for all steps."""

    def __init__(self, options: ReleasedSchNetOptions) -> None:
        basis = GaussianBasis(options.cutoff, options.gaussian_width)
        super().__init__(options.steps, len(basis.centres), options.channels, options.channels)
        self.cutoff = options.cutoff
        self.basis = basis

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to filters (steps, n, channels)."""
        filters: Tensor = self.output(shifted_softplus(self.hidden(self.basis(distances))))
        return published_cutoff(distances, self.cutoff)[:, None] * filters

    def at_step(self, t: int, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to the filters of step `t` alone, (n, channels)."""
        envelope = published_cutoff(distances, self.cutoff)[:, None]
        return envelope * self.step(t, self.basis(distances))

    def derivatives(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filters with their first and second derivative by distance."""
        expanded = jets.affine(self.hidden, jets.gaussians(self.basis, distances))
        filters = jets.affine(self.output, jets.shifted_softplus_of(expanded))
        envelope = jets.soft_cutoff(distances, self.cutoff)
        return jets.product(jets.Jet(*(part[:, None] for part in envelope)), filters)


class PairMessages(nn.Module):
    """Messages of all steps: a network of sender and receiver times filters of the distance."""

    def __init__(self, options: ReleasedSchNetOptions) -> None:
        super().__init__()
        width = options.channels
        self.filters = DistanceFilters(options)
        # The first half of the inputs is the sender's state.
        self.pair = TwoLayers(options.steps, 2 * width, 2 * width, width)
        self._width = width

    def sender_part(self, t: int, states: Tensor) -> Tensor:
        """Map senders' states (n, F) to their part of the hidden layer, (n, 2 F)."""
        hidden = self.pair.hidden
        return torch.addmm(hidden.bias[t], states, hidden.weight[t, : self._width])

    def receiver_part(self, t: int, states: Tensor) -> Tensor:
        """Map receivers' states (n, F) to their part of the hidden layer, (n, 2 F)."""
        return states @ self.pair.hidden.weight[t, self._width :]

    def of_pairs(self, t: int, sent: Tensor, received: Tensor, edges: Edges) -> Tensor:
        """Map the two parts of the hidden layer to factors of every edge, (edges, F)."""
        hidden = sent.index_select(0, edges.senders)
        return self.pair.after_hidden(t, hidden.add_(received.index_select(0, edges.receivers)))

    def sum(self, t: int, factors: Tensor, edges: Edges, table: RadialTable | None) -> Tensor:
        """Sum factors of every edge (edges, F) times filters; returns (receivers, F)."""
        numbers = torch.arange(len(factors), dtype=torch.int32, device=factors.device)
        each_its_sender = replace(edges, senders=numbers)
        if table is None:
            filters = self.filters.at_step(t, edges.distances)
            return direct_messages(filters[None], factors[None], each_its_sender)[0]
        one_step = RadialTable(table.entries[t : t + 1], table.spacing)
        return filtered_messages(one_step, factors[None], each_its_sender)[0]


class ReleasedSchNet(DensityModel):
    """Messages of sender, receiver and distance; probes gated by their own state."""

    architecture = RELEASED_SCHNET

    def __init__(self, options: ReleasedSchNetOptions, elements: Sequence[int]) -> None:
        super().__init__(options, elements)
        steps, width = options.steps, options.channels
        self.steps, self.width = steps, width
        self.embedding = nn.Embedding(len(self.elements), width)
        self.atom_messages = PairMessages(options)
        self.atom_update = TwoLayers(steps, width, width, width)
        self.probe_messages = PairMessages(options)
        self.probe_gate = TwoLayers(steps, width, width, width)
        self.probe_update = TwoLayers(steps, width, width, width)
        self.readout_hidden = nn.Linear(width, width)
        self.readout_output = nn.Linear(width, 1)

    def encode(self, graph: AtomGraph) -> Tensor:
        """Pass messages between atoms.

        Returns:
            (steps, atoms, 2 F): in the first F columns of the first step the factors of a probe's
            first message, in the other steps the senders' part of the hidden layer.
        """
        messages = self.atom_messages
        table = None if self.settings.filters == "direct" else self._tabulate(messages.filters)
        states: Tensor = self.embedding(self.species(graph.numbers))
        sent_to_probes = []
        for t in range(self.steps):
            sent, received = messages.sender_part(t, states), messages.receiver_part(t, states)
            factors = messages.of_pairs(t, sent, received, graph.edges)
            summed = messages.sum(t, factors, graph.edges, table)
            states = states + self.atom_update.step(t, summed)
            sent_to_probes.append(self.probe_messages.sender_part(t, states))
        first = self.probe_messages.pair.after_hidden(0, sent_to_probes[0])
        sent_to_probes[0] = pad(first, (0, self.width))
        return torch.stack(sent_to_probes)

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Filters from atoms to probes."""
        filters: Tensor = self.probe_messages.filters(distances)
        return filters

    def probe_table(self) -> RadialTable:
        """Return the probe filters as a table, differentiable in the weights."""
        return self._tabulate(self.probe_messages.filters)

    def density(self, senders: Tensor, edges: Edges, table: RadialTable | None = None) -> Tensor:
        """Return the density at probes; with no atom in reach it is a constant."""
        table = self.table_in_use(table)
        messages = self.probe_messages
        states = senders.new_zeros((1, self.width))  # one row for all probes
        for t in range(self.steps):
            if t == 0:
                factors = senders[0, :, : self.width].index_select(0, edges.senders)
            else:
                received = messages.receiver_part(t, states)
                factors = messages.of_pairs(t, senders[t], received, edges)
            update = self.probe_update.step(t, messages.sum(t, factors, edges, table))
            gate = torch.sigmoid(self.probe_gate.step(t, states))
            states = torch.lerp(update, states, gate)
        density: Tensor = self.readout_output(shifted_softplus(self.readout_hidden(states)))
        return density[:, 0]
