"""The network in torch."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from deepdft.architectures.base import DensityModel
from deepdft.architectures.layers import GaussianBasis, polynomial_cutoff
from deepdft.geometry.graphs import AtomGraph
from deepdft_additive import ADDITIVE
from deepdft_additive.options import AdditiveOptions


class Additive(DensityModel):
    """Weights of an element times functions of distance, summed over the atoms."""

    architecture = ADDITIVE

    def __init__(self, options: AdditiveOptions, elements: Sequence[int]) -> None:
        super().__init__(options, elements)
        self.embedding = nn.Embedding(len(self.elements), options.channels)
        self.basis = GaussianBasis(options.cutoff, 0.1)
        self.filter = nn.Linear(len(self.basis.centres), options.channels)
        self.output = nn.Linear(options.channels, 1, bias=False)

    def encode(self, graph: AtomGraph) -> Tensor:
        """Return the weights of each atom's element, (1, atoms, channels)."""
        weights: Tensor = self.embedding(self.species(graph.numbers))
        return weights[None]

    def probe_filters(self, distances: Tensor) -> Tensor:
        """Return the functions of distance, (1, distances, channels)."""
        envelope = polynomial_cutoff(distances, self.cutoff)[:, None]
        functions: Tensor = envelope * self.filter(self.basis(distances))
        return functions[None]

    def readout(self, messages: Tensor) -> Tensor:
        """Return the density, (probes,)."""
        density: Tensor = self.output(messages[0])
        return density[:, 0]
