"""The architecture `equivariant`: spherical tensors on atoms, fields around them, a small network.

Atoms carry scalars and spherical tensors. In every interaction step an atom gathers what its
neighbours send, weighted by functions of distance and spread over spherical harmonics of the
direction; multiplies the result by itself (products of tensors, so that one step sees the angles
between bonds); and updates its scalars from the invariants (the atomic cluster expansion of Drautz,
2019, in the recursive form of Batatia et al., 2022, with Gaunt coefficients instead of
Clebsch-Gordan's).

A probe then sees, in one pass over its edges, fields expanded around the atoms in spherical
harmonics up to a high angular momentum,

    s_c(r) = sum over atoms a of f_c(d) sum over m of S_a,c,m Y_lm(direction),

and the density is ``w . s + network(s) - network(0)``: a linear expansion, as density fitting has
it, and a correction that is not linear. All that depends on an edge is a function of distance
(tabulated) times a polynomial of the direction; no matrix is multiplied per edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from deepdft.architectures import radial_jets as jets
from deepdft.architectures.atom_steps import AtomSteps
from deepdft.architectures.base import DensityModel
from deepdft.architectures.equivariant import EQUIVARIANT
from deepdft.architectures.equivariant.layers import (
    DegreeLinear,
    GauntProduct,
    Invariants,
    degrees,
    soft_normalised,
)
from deepdft.architectures.equivariant.options import EquivariantOptions
from deepdft.architectures.layers import (
    GaussianBasis,
    StackedLinear,
    polynomial_cutoff,
    similar_rows,
    softplus,
)
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.angular.harmonics import harmonic_count
from deepdft.kernels.angular.layouts import AngularLayout, MessageLayout
from deepdft.kernels.autograd.angular_messages import (
    angular_messages,
    plain_angular_messages,
)
from deepdft.kernels.autograd.harmonics import soft_harmonics
from deepdft.kernels.autograd.tables import RadialTable
from deepdft.kernels.autograd.tensor_messages import tensor_messages


class RadialFunctions(nn.Module):
    """Linear combinations of Gaussians of distance that vanish smoothly at the cutoff."""

    def __init__(self, cutoff: float, width: float, outputs: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.basis = GaussianBasis(cutoff, width)
        self.weights = StackedLinear(1, self.basis.centres.shape[0], outputs)

    def forward(self, distances: Tensor) -> Tensor:
        """Map distances (n,) in Å to (1, n, outputs)."""
        functions: Tensor = self.weights(self.basis(distances))
        return polynomial_cutoff(distances, self.cutoff)[:, None] * functions

    def derivatives(self, distances: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the functions with their first and second derivative by distance."""
        functions = jets.affine(self.weights, jets.gaussians(self.basis, distances))
        envelope = jets.polynomial(distances, self.cutoff)
        return jets.product(jets.Jet(*(part[:, None] for part in envelope)), functions)


_SCALE = 0.3
"""Keeps sums over a dozen neighbours of order one."""


def _network(*sizes: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class Interaction(nn.Module):
    """One interaction step between atoms.

    What an atom sends is a row of its scalar features, factors for tensors, and its tensors. States
    are rows of scalars and, flattened, tensors.
    """

    def __init__(self, options: EquivariantOptions, *, first: bool) -> None:
        super().__init__()
        self.scalars, self.tensors = options.scalars, options.tensors
        self.largest = options.degree
        self.cutoff = options.atom_cutoff
        # Before the first step all tensors are zero: there are none to pass on.
        self.layout = MessageLayout(self.scalars, self.tensors, self.largest + 1, not first)
        width = options.gaussian_width
        self.radial = RadialFunctions(self.cutoff, width, self.layout.functions)
        self.send = nn.Linear(self.scalars, self.scalars + self.layout.factors)
        self.before, self.beside, self.after = (
            DegreeLinear(self.largest, self.tensors, self.tensors) for _ in range(3)
        )
        self.product = GauntProduct(self.largest)
        self.invariants = Invariants(self.largest)
        n_invariants = self.tensors * (self.largest + 1)
        self.update = _network(2 * self.scalars + 2 * n_invariants, self.scalars, self.scalars)
        self.scale = _network(self.scalars, self.scalars, n_invariants)
        self.register_buffer("_degrees", degrees(self.largest), persistent=False)

    def split(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Return scalars (n, scalars) and tensors (n, M, channels) of states."""
        tensors = states[:, self.scalars :].unflatten(1, (-1, self.tensors))
        return states[:, : self.scalars], tensors

    def sent(self, states: Tensor) -> Tensor:
        """Return what atoms send: features, factors and tensors, in a row."""
        return torch.cat((self.send(states[:, : self.scalars]), states[:, self.scalars :]), dim=1)

    def forward(self, states: Tensor, sent: Tensor, edges: Edges) -> Tensor:
        """Return the states (receivers, width) after the step."""
        scalars, tensors = self.split(states)
        gathered, summed = self._gather(sent, edges)
        summed = soft_normalised(self.before(summed + tensors), (1, 2))
        multiplied = self.after(self.product(summed, self.beside(summed)))
        features = (scalars, gathered, self.invariants(summed), self.invariants(multiplied))
        scalars = scalars + self.update(soft_normalised(torch.cat(features, dim=1), 1))
        scalars = soft_normalised(scalars, 1)
        factors = self.scale(scalars).unflatten(1, (-1, self.tensors))
        tensors = (summed + multiplied) * factors[:, self._degrees]
        return torch.cat((scalars, tensors.flatten(1)), dim=1)

    def _gather(self, sent: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """Sum messages over edges: scalars (n, scalars) and tensors (n, M, channels)."""
        assert edges.vectors is not None
        functions = self.radial(edges.distances)[0]
        harmonics = soft_harmonics(edges.vectors, self.largest, 0.0)
        messages = tensor_messages(functions, sent, harmonics, edges, self.layout)
        return self.split(_SCALE * messages)


class Equivariant(DensityModel):
    """Spherical tensors on atoms; fields at probes in one pass over their edges."""

    architecture = EQUIVARIANT

    def __init__(self, options: EquivariantOptions, elements: Sequence[int]) -> None:
        super().__init__(options, elements)
        self.atom_cutoff = options.atom_cutoff
        self.layout = AngularLayout(options.fields, options.softness)
        self.embedding = nn.Embedding.from_pretrained(
            similar_rows(self.elements, options.scalars), freeze=False
        )
        self.interactions = nn.ModuleList(
            Interaction(options, first=t == 0) for t in range(options.steps)
        )
        self.expansion = nn.ParameterList(
            nn.Parameter(torch.randn(options.tensors, count) / options.tensors**0.5)
            for count in options.fields
        )
        self.coefficients = _network(options.scalars, options.scalars, self.layout.width)
        self.probe_functions = RadialFunctions(
            options.cutoff, options.gaussian_width, self.layout.width
        )
        self.linear = nn.Parameter(0.02 * torch.randn(self.layout.width))
        self.hidden1 = nn.Linear(self.layout.width, options.hidden)
        self.hidden2 = nn.Linear(options.hidden, options.hidden)
        self.output = nn.Linear(options.hidden, 1, bias=False)

    def encode(self, graph: AtomGraph) -> Tensor:
        """Pass messages between atoms; return the coefficients of their fields, (1, atoms, n)."""
        steps = _AtomSteps(self)
        states = steps.initial(graph.numbers)
        for t in range(steps.count):
            states = steps.update(t, states, steps.sent(t, states), graph.edges)
        return steps.to_probes(steps.count - 1, states)[None]

    def atom_steps(self) -> AtomSteps[Tensor, Edges]:
        """Return `encode` one interaction step at a time."""
        return _AtomSteps(self)

    def atom_features(self, senders: Tensor) -> Tensor:
        """Return the scalar coefficients and the lengths of the others, (atoms, fields)."""
        starts = self.layout.sender_starts
        columns = [senders[0, :, : starts[1]]]
        for momentum in range(1, self.layout.largest + 1):
            components = senders[0, :, starts[momentum] : starts[momentum + 1]]
            columns.append(components.unflatten(1, (2 * momentum + 1, -1)).norm(dim=1))
        return torch.cat(columns, dim=1)

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Radial functions of the fields."""
        functions: Tensor = self.probe_functions(distances)
        return functions

    def probe_table(self) -> RadialTable:
        """Return the radial functions of the fields as a table, differentiable in the weights."""
        return self._tabulate(self.probe_functions)

    def messages(self, senders: Tensor, edges: Edges, table: RadialTable | None = None) -> Tensor:
        """Return the fields at probes, (1, probes, fields)."""
        if self.settings.filters == "direct":
            filters = self.probe_filters(edges.distances)
            return plain_angular_messages(filters, senders, edges, self.layout)
        table = self.probe_table() if table is None else table
        return angular_messages(table, senders, edges, self.layout)

    def readout(self, messages: Tensor) -> Tensor:
        """Map fields to densities; no fields give zero."""
        fields = messages[0]
        # Subtracted before the last product: small densities are then rounded as small numbers.
        change = self._hidden(fields) - self._hidden(fields.new_zeros((1, fields.shape[1])))
        correction: Tensor = self.output(change)
        return fields @ self.linear + correction[:, 0]

    def _hidden(self, fields: Tensor) -> Tensor:
        return softplus(self.hidden2(softplus(self.hidden1(fields))))


class _AtomSteps:
    """Interaction steps, and the coefficients of the fields after the last one."""

    sends = 1

    def __init__(self, model: Equivariant) -> None:
        self.count = len(model.interactions)
        self.channels = model.layout.sender_width
        self._model = model

    def initial(self, numbers: Tensor) -> Tensor:
        model = self._model
        scalars = model.embedding(model.species(numbers))
        options = model.options
        assert isinstance(options, EquivariantOptions)
        width = harmonic_count(options.degree) * options.tensors
        return torch.cat((scalars, scalars.new_zeros((len(scalars), width))), dim=1)

    def sent(self, step: int, states: Tensor) -> Tensor:
        sent: Tensor = self._interaction(step).sent(states)
        return sent

    def update(self, step: int, states: Tensor, sent: Tensor, edges: Edges) -> Tensor:
        updated: Tensor = self._interaction(step)(states, sent, edges)
        return updated

    def to_probes(self, step: int, states: Tensor) -> Tensor:
        model = self._model
        scalars, tensors = self._interaction(step).split(states)
        factors = model.coefficients(scalars)
        starts = model.layout.message_starts
        columns = []
        for momentum, weight in enumerate(model.expansion):
            factor = factors[:, None, starts[momentum] : starts[momentum + 1]]
            components = tensors[:, momentum**2 : (momentum + 1) ** 2] @ weight
            columns.append((components * factor if momentum else components + factor).flatten(1))
        return torch.cat(columns, dim=1)

    def _interaction(self, step: int) -> Interaction:
        interaction = self._model.interactions[step]
        assert isinstance(interaction, Interaction)
        return interaction
