"""The architecture `released-painn`: what the authors released as DeepDFT's PaiNN form.

Vertices have a scalar state s (F) and a vector state v (3 x F); probes begin with zeros. One step,
after Schütt, Unke & Gastegger, arXiv:2102.03150, with x = silu:

    a, b, c = A2 x(A1 s_w + ...) + ...                (of the sender, F each)
    f, g, h = cos cutoff(d) (W r(d) + ...)            (r: 30 functions sin(n pi d / d_cut) / d)
    M_s     = sum over w of  h c s_w
    M_v     = sum over w of  f a v_w  +  g b u        (u: unit vector from sender to receiver)
    atoms:   s <- s + M_s;                      v <- v + M_v
    probes:  s <- G s + (1 - G) M_s;            v <- H v + (1 - H) M_v,   G, H of M_s alone
    then     p, q, r = networks of [s, |V v|];  s <- s + r + q (U v . V v);  v <- v + p U v

What follows from the equations and saves work: f, g, h are tabulated; what an atom sends (c s_w,
a v_w and b) does not depend on the probe, nor do G and H on its state. So the messages of all steps
are summed at once, without a matrix product on any edge.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from deepdft.architectures import radial_jets as jets
from deepdft.architectures.base import DensityModel
from deepdft.architectures.layers import StackedLinear
from deepdft.architectures.released_painn import RELEASED_PAINN
from deepdft.architectures.released_painn.options import ReleasedPaiNNOptions
from deepdft.architectures.released_painn.sinc_basis import (
    SincBasis,
    cosine_cutoff,
    cosine_cutoff_jet,
)
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.autograd.tables import RadialTable
from deepdft.kernels.autograd.vector_messages import direct_vector_messages, vector_messages


class VectorFilters(nn.Module):
    """The filters h, f, g of all steps: of scalars, of vectors, of directions."""

    def __init__(self, options: ReleasedPaiNNOptions) -> None:
        super().__init__()
        self.cutoff = options.cutoff
        self.basis = SincBasis(options.cutoff, options.radial_functions)
        # Of each step, in rows: scalars of all steps, vectors of all steps, directions.
        self.linear = StackedLinear(3 * options.steps, options.radial_functions, options.channels)

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to filters (3 steps, n, channels)."""
        filters: Tensor = self.linear(self.basis(distances))
        return cosine_cutoff(distances, self.cutoff)[:, None] * filters

    def derivatives(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filters with their first and second derivative by distance."""
        envelope = cosine_cutoff_jet(distances, self.cutoff)
        columns = jets.Jet(*(part[:, None] for part in envelope))
        return jets.product(columns, jets.affine(self.linear, self.basis.jets(distances)))


class SentFeatures(nn.Module):
    """The network of senders' scalars: c, a and b of every step."""

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        self.hidden = StackedLinear(steps, width, width)
        self.output = StackedLinear(steps, width, 3 * width)

    def step(self, t: int, scalars: Tensor, vectors: Tensor) -> Tensor:
        """Return what vertices send, (5, n, F): c s; a v in three components; b.

        Args:
            t: which step.
            scalars: (n, F) states.
            vectors: (3, n, F) states.
        """
        features = self.output.step(t, silu(self.hidden.step(t, scalars)))
        of_scalars, of_vectors, of_directions = features.chunk(3, dim=1)
        sent_scalars = of_scalars * scalars
        return torch.cat((sent_scalars[None], of_vectors * vectors, of_directions[None]))


class Update(nn.Module):
    """The update of a vertex from its own scalars and vectors, for all steps."""

    def __init__(self, steps: int, width: int) -> None:
        super().__init__()
        bound = width**-0.5
        self.U = nn.Parameter(torch.empty(steps, width, width).uniform_(-bound, bound))
        self.V = nn.Parameter(torch.empty(steps, width, width).uniform_(-bound, bound))
        self.hidden = StackedLinear(steps, 2 * width, width)
        self.output = StackedLinear(steps, width, 3 * width)

    def step(self, t: int, scalars: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Return new scalars (n, F) and vectors (3, n, F)."""
        left, right = vectors @ self.U[t], vectors @ self.V[t]
        inputs = torch.cat((scalars, _norm(right)), dim=1)
        factors = self.output.step(t, silu(self.hidden.step(t, inputs)))
        of_vectors, of_products, added = factors.chunk(3, dim=1)
        scalars = scalars + added + of_products * (left * right).sum(dim=0)
        return scalars, torch.addcmul(vectors, of_vectors, left)


def _norm(vectors: Tensor) -> Tensor:
    """Lengths of (3, ...) vectors; derivatives of any order are finite where a vector is zero."""
    square = vectors.square().sum(dim=0)
    positive = square > 0.0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


class ReleasedPaiNN(DensityModel):
    """Messages of scalars, vectors and directions; probes gated by their scalar messages."""

    architecture = RELEASED_PAINN
    probes_per_block = 256

    def __init__(self, options: ReleasedPaiNNOptions, elements: Sequence[int]) -> None:
        super().__init__(options, elements)
        steps, width = options.steps, options.channels
        self.steps, self.width = steps, width
        self.embedding = nn.Embedding(len(self.elements), width)
        self.atom_filters = VectorFilters(options)
        self.atom_sent = SentFeatures(steps, width)
        self.atom_update = Update(steps, width)
        self.probe_filter_layer = VectorFilters(options)
        self.probe_sent = SentFeatures(steps, width)
        self.probe_gate_hidden = StackedLinear(steps, width, 2 * width)
        self.probe_gate_output = StackedLinear(steps, 2 * width, 2 * width)
        self.probe_update = Update(steps, width)
        self.readout_hidden = nn.Linear(width, width)
        self.readout_output = nn.Linear(width, 1)

    def encode(self, graph: AtomGraph) -> Tensor:
        """Pass messages between atoms; return what they send to probes, (5 steps, atoms, F).

        The rows are those of `deepdft.kernels.autograd.vector_messages`.
        """
        direct = self.settings.filters == "direct"
        table = None if direct else self._tabulate(self.atom_filters)
        filters = self.atom_filters(graph.edges.distances) if direct else None
        scalars: Tensor = self.embedding(self.species(graph.numbers))
        vectors = scalars.new_zeros((3, *scalars.shape))
        sent_to_probes = []
        for t in range(self.steps):
            sent = self.atom_sent.step(t, scalars, vectors)
            if table is None:
                assert filters is not None
                messages = direct_vector_messages(filters[t :: self.steps], sent, graph.edges)
            else:
                one_step = RadialTable(table.entries[t :: self.steps], table.spacing)
                messages = vector_messages(one_step, sent, graph.edges)
            scalars, vectors = scalars + messages[0, 0], vectors + messages[1:, 0]
            scalars, vectors = self.atom_update.step(t, scalars, vectors)
            sent_to_probes.append(self.probe_sent.step(t, scalars, vectors))
        return torch.stack(sent_to_probes, dim=1).flatten(0, 1)

    def atom_features(self, senders: Tensor) -> Tensor:
        """Return scalars, lengths of vectors and factors of directions, (atoms, 3 steps F)."""
        rows = senders.unflatten(0, (5, self.steps))
        invariant = torch.cat((rows[:1], rows[1:4].norm(dim=0, keepdim=True), rows[4:]))
        return super().atom_features(invariant.flatten(0, 1))

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Filters from atoms to probes, (3 steps, n, F)."""
        filters: Tensor = self.probe_filter_layer(distances)
        return filters

    def probe_table(self) -> RadialTable:
        """Return the probe filters as a table, differentiable in the weights."""
        return self._tabulate(self.probe_filter_layer)

    def density(self, senders: Tensor, edges: Edges, table: RadialTable | None = None) -> Tensor:
        """Return the density at probes; with no atom in reach it is a constant."""
        table = self.table_in_use(table)
        if table is None:
            filters = self.probe_filters(edges.distances)
            messages = direct_vector_messages(filters, senders, edges)
        else:
            messages = vector_messages(table, senders, edges)
        hidden = silu(self.probe_gate_hidden(messages[0]))
        gates = torch.sigmoid(self.probe_gate_output(hidden))
        scalars = messages.new_zeros((1, self.width))  # one row for all probes
        vectors = messages.new_zeros((3, 1, self.width))
        for t in range(self.steps):
            of_scalars, of_vectors = gates[t].chunk(2, dim=1)
            scalars = torch.lerp(messages[0, t], scalars, of_scalars)
            vectors = torch.lerp(messages[1:, t], vectors, of_vectors)
            scalars, vectors = self.probe_update.step(t, scalars, vectors)
        density: Tensor = self.readout_output(silu(self.readout_hidden(scalars)))
        return density[:, 0]
