"""Interaction steps between the atoms of the architecture `equivariant`, without torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepdft.architectures.equivariant.filters import enveloped_basis
from deepdft.architectures.equivariant.options import EquivariantOptions
from deepdft.architectures.on_cpu.elements import species_of
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.arrays import Array
from deepdft.geometry.neighbours import EdgeArrays
from deepdft.kernels.angular.gaunt_products import (
    GauntTerms,
    add_gaunt_product,
    gaunt_coefficients,
)
from deepdft.kernels.angular.harmonics import edge_harmonics, harmonic_count
from deepdft.kernels.angular.layouts import AngularLayout, MessageLayout
from deepdft.kernels.angular.tensor_messages import sum_tensor_messages
from deepdft.kernels.radial.filters import gaussian_centres
from deepdft.kernels.simd.dense import Dense

MESSAGE_SCALE = 0.3
"""Keeps sums over a dozen neighbours of order one."""


class Surroundings(NamedTuple):
    """The edges to some atoms.

    Attributes:
        edges: the edges.
        basis: (edges, functions) what their radial functions are linear in.
        harmonics: (edges, M) spherical harmonics of their directions.
    """

    edges: EdgeArrays
    basis: Array
    harmonics: Array


class Interaction:
    """One interaction step; states are rows of scalars and, flattened, tensors.

    Args:
        options: of the network.
        weights: of the network, in the floating type of the computation.
        step: which step, from 0.
    """

    def __init__(self, options: EquivariantOptions, weights: Weights, step: int) -> None:
        self._dtype = weights.dtype
        self.scalars = scalars = options.scalars
        self.channels = channels = options.tensors
        self._largest = options.degree
        degrees = options.degree + 1
        name = f"interactions.{step}"
        # Before the first step all tensors are zero: there are none to pass on.
        self.layout = MessageLayout(scalars, channels, degrees, step > 0)
        count = len(gaussian_centres(options.atom_cutoff, options.gaussian_width))
        radial, bias = weights.stacked(f"{name}.radial.weights", 1, count, self.layout.functions)
        self._radial = Dense(np.concatenate((radial[0], bias[0])) * self._dtype.type(MESSAGE_SCALE))
        self._send = Dense(*weights.linear(f"{name}.send", scalars, scalars + self.layout.factors))
        self._before, self._beside, self._after = (
            Dense(weights(f"{name}.{part}.weight", degrees, channels, channels))
            for part in ("before", "beside", "after")
        )
        invariants = channels * degrees
        self._update = two_layers(
            weights, f"{name}.update", 2 * scalars + 2 * invariants, scalars, scalars
        )
        self._scale = two_layers(weights, f"{name}.scale", scalars, scalars, invariants)
        self._terms = GauntTerms(gaunt_coefficients(options.degree))
        self._coefficients = self._terms.values.astype(self._dtype)
        self._degrees = np.repeat(np.arange(degrees), 2 * np.arange(degrees) + 1)

    def split(self, states: Array) -> tuple[Array, Array]:
        """Return scalars (n, scalars) and tensors (n, M, channels) of states."""
        tensors = states[:, self.scalars :].reshape(len(states), -1, self.channels)
        return states[:, : self.scalars], tensors

    def sent(self, states: Array) -> Array:
        """Return what atoms send: features, factors and tensors, in a row."""
        ends = self.scalars + self.layout.factors
        passed = states[:, self.scalars :] if self.layout.passes else states[:, :0]
        result = np.empty((len(states), ends + passed.shape[1]), self._dtype)
        self._send(states[:, : self.scalars], result[:, :ends])
        result[:, ends:] = passed
        return result

    def updated(self, states: Array, sent: Array, around: Surroundings) -> Array:
        """Return the states (receivers, width) after the step."""
        scalars, tensors = self.split(states)
        gathered, summed = self._gathered(states.shape[1], sent, around)
        summed = soft_normalised(self._before.by_degree(summed + tensors))
        product = np.zeros_like(summed)
        add_gaunt_product(
            summed, self._beside.by_degree(summed), self._terms.indices, self._coefficients, product
        )
        multiplied = self._after.by_degree(product)
        features = np.concatenate(
            (scalars, gathered, self._invariants(summed), self._invariants(multiplied)), axis=1
        )
        result = np.empty_like(states)
        scalars = soft_normalised(scalars + applied(self._update, soft_normalised(features)))
        result[:, : self.scalars] = scalars
        factors = applied(self._scale, scalars).reshape(len(states), -1, self.channels)
        summed += multiplied
        np.multiply(summed, factors[:, self._degrees], out=self.split(result)[1])
        return result

    def _gathered(self, width: int, sent: Array, around: Surroundings) -> tuple[Array, Array]:
        """Sum messages over edges: scalars (n, scalars) and tensors (n, M, channels)."""
        edges = around.edges
        out = np.zeros((edges.n_receivers, width), self._dtype)
        sum_tensor_messages(
            self._radial(around.basis), sent, around.harmonics, edges.senders, edges.offsets,
            tuple(self.layout), out,
        )  # fmt: skip
        return self.split(out)

    def _invariants(self, tensors: Array) -> Array:
        """Return the scalars themselves, and squared lengths of higher degrees, (n, numbers)."""
        columns = [tensors[:, 0]]
        for degree in range(1, self._largest + 1):
            of_degree = tensors[:, degree**2 : (degree + 1) ** 2]
            columns.append(np.square(of_degree).sum(axis=1))
        return np.concatenate(columns, axis=1)


def two_layers(
    weights: Weights, name: str, inputs: int, hidden: int, outputs: int
) -> tuple[Dense, Dense]:
    """Return an affine map with SiLU and one without."""
    return (
        Dense(*weights.linear(f"{name}.0", inputs, hidden), "silu"),
        Dense(*weights.linear(f"{name}.2", hidden, outputs)),
    )


def applied(layers: tuple[Dense, Dense], x: Array) -> Array:
    """Map rows through two layers."""
    return layers[1](layers[0](x))


def soft_normalised(x: Array) -> Array:
    """Return rows divided by the root of one plus their mean square."""
    axes = tuple(range(1, x.ndim))
    mean = np.square(x).reshape(len(x), -1).mean(axis=1)
    return np.asarray(x * np.expand_dims(1 / np.sqrt(1 + mean), axes))


class EquivariantSteps:
    """Interaction steps, and the coefficients of the fields after the last one.

    Args:
        options: of the network.
        elements: atomic numbers that it knows.
        weights: of the network, in the floating type of the computation.
    """

    sends = 1
    uses_directions = True

    def __init__(
        self, options: EquivariantOptions, elements: tuple[int, ...], weights: Weights
    ) -> None:
        self.count, self.dtype = options.steps, weights.dtype
        self._options, self._elements = options, elements
        self._embedding = weights("embedding.weight", len(elements), options.scalars)
        self._interactions = [Interaction(options, weights, t) for t in range(self.count)]
        self._layout = layout = AngularLayout(options.fields, options.softness)
        self.channels = layout.sender_width
        self._coefficients = two_layers(
            weights, "coefficients", options.scalars, options.scalars, layout.width
        )
        self._expansion = [
            Dense(weights(f"expansion.{momentum}", options.tensors, count))
            for momentum, count in enumerate(options.fields)
        ]

    def initial(self, numbers: NDArray[np.int64]) -> Array:
        """Return the embeddings of the elements and tensors that are zero."""
        scalars = self._embedding[species_of(numbers, self._elements)]
        width = harmonic_count(self._options.degree) * self._options.tensors
        return np.concatenate((scalars, np.zeros((len(scalars), width), self.dtype)), axis=1)

    def sent(self, step: int, states: Array) -> Array:
        """Return what atoms send to atoms."""
        return self._interactions[step].sent(states)

    def geometry(self, edges: EdgeArrays) -> Surroundings:
        """Return what the edges to some atoms are worth in every step."""
        assert edges.vectors is not None
        options = self._options
        basis = enveloped_basis(edges.distances, options.atom_cutoff, options.gaussian_width)
        harmonics = edge_harmonics(edges.vectors, options.degree, self.dtype)
        return Surroundings(edges, basis.astype(self.dtype), harmonics)

    def update(self, step: int, states: Array, sent: Array, geometry: Surroundings) -> Array:
        """Return the states of some atoms after a step."""
        return self._interactions[step].updated(states, sent, geometry)

    def to_probes(self, step: int, states: Array) -> Array:
        """Return the coefficients of the atoms' fields."""
        scalars, tensors = self._interactions[step].split(states)
        factors = applied(self._coefficients, scalars)
        starts, of_senders = self._layout.message_starts, self._layout.sender_starts
        result = np.empty((len(states), self.channels), self.dtype)
        for momentum, expansion in enumerate(self._expansion):
            factor = factors[:, None, starts[momentum] : starts[momentum + 1]]
            part = result[:, of_senders[momentum] : of_senders[momentum + 1]]
            part = part.reshape(len(states), 2 * momentum + 1, -1)
            expansion.each(tensors[:, momentum**2 : (momentum + 1) ** 2], part)
            if momentum == 0:
                part += factor
            else:
                part *= factor
        return result
