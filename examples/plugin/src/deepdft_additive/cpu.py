"""The network on a CPU without torch, in NumPy; an architecture can do without this form.

`deepdft.architectures.interface` says what is asked for. Here `PlainProbes` does most of it; the
architecture adds its filters and what it makes of the messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from deepdft.architectures.interface import Allocator
from deepdft.architectures.on_cpu.elements import known_elements, species_of
from deepdft.architectures.on_cpu.plain import PlainProbes
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Array
from deepdft.kernels.jets import Jet, linear
from deepdft.kernels.radial.filters import (
    Filters,
    each_channel,
    gaussian_centres,
    gaussians,
    polynomial_cutoff,
    tabulated,
)
from deepdft_additive.options import AdditiveOptions

_WIDTH = 0.1
"""Of the Gaussians of distance, Å."""


class AdditiveOnCpu:
    """Encodes atoms and evaluates probes, in float64 whatever the settings say.

    Args:
        options: of the network.
        elements: atomic numbers that it knows.
        weights: by name.
        settings: how to evaluate it.
    """

    dtype = np.float64

    def __init__(
        self,
        options: AdditiveOptions,
        elements: Sequence[int],
        weights: Mapping[str, Array],
        settings: EvaluationSettings,
    ) -> None:
        self.settings = settings
        self.elements = known_elements(elements)
        self.cutoff = self.atom_cutoff = float(options.cutoff)
        own, channels = Weights(weights, self.dtype), options.channels
        self._embedding = own("embedding.weight", len(self.elements), channels)
        n_gaussians = len(gaussian_centres(self.cutoff, _WIDTH))
        self._filter = own.linear("filter", n_gaussians, channels)
        self._output = own("output.weight", 1, channels)[0]
        self.filters: Filters = self._direct_filters
        if settings.filters == "tabulated":
            self.filters = tabulated(self._direct_filters, self.cutoff, settings.table_spacing)

    def encode(
        self, atoms: Atoms, threads: int | None = None, allocate: Allocator = np.empty
    ) -> Array:
        """Return the weights of each atom's element, (1, atoms, channels)."""
        rows = self._embedding[species_of(atoms.numbers, self.elements)]
        result = allocate((1, *rows.shape), self.dtype)
        result[0] = rows
        return result

    def probes(self, senders: Array) -> PlainProbes:
        """Return what evaluates probes."""
        return PlainProbes(self, senders, self.cutoff)

    def atom_features(self, senders: Array) -> Array:
        """Return what the atoms send, (atoms, channels)."""
        return senders[0]

    # What `PlainProbes` asks for, besides `filters` and `dtype`.

    def factors(self, sent: Array, positions: Jet) -> Jet:
        """Return what the atoms of the edges send."""
        return Jet.constant(sent, positions)

    def readout(self, messages: Jet) -> Jet:
        """Map messages (1, probes, channels) to densities (probes,)."""
        return messages.map(lambda part: part[:, 0] @ self._output)

    def _direct_filters(self, distances: Jet) -> Jet:
        functions = linear(gaussians(distances, self.cutoff, _WIDTH), *self._filter)
        envelope = each_channel(polynomial_cutoff(distances, self.cutoff))
        return envelope * functions.map(lambda part: part[:, None])
