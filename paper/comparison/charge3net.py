"""ChargE3Net (Koker et al., npj Comput. Mater. 10, 161, 2024) as an architecture of the comparison.

    git clone https://github.com/AIforGreatGood/charge3net
    pip install e3nn
    python paper/comparison/compare.py ... --rows charge3net --charge3net charge3net

The network is that of the clone: its layers are called, not copied. Only edges come from here,
which their code keeps padded, structure by structure. What it costs on an edge is its own: for
each, a network of the distance makes the weights (up to 3,238) of a product of spherical tensors,
so that nothing can be tabulated short of all of them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.registry import register
from deepdft.errors import ConfigurationError
from deepdft.geometry.graphs import AtomGraph, Edges
from deepdft.kernels.autograd.tables import RadialTable

NAME = "charge3net"


class ChargE3NetOptions(ArchitectureOptions):
    """Options as their configurations name them, with the values of `train_qm9_e3_final.yaml`."""

    num_interactions: int = Field(3, ge=1, description="Interaction steps.")
    num_neighbors: int = Field(20, ge=1, description="Messages are divided by its square root.")
    mul: int = Field(500, ge=1, description="Numbers of a state, all degrees together.")
    lmax: int = Field(4, ge=0, description="Largest degree.")
    num_basis: int = Field(20, ge=1, description="Gaussians of the distance.")


def register_charge3net(clone: Path) -> None:
    """Make the network of a clone known as the architecture `charge3net`.

    Raises:
        ConfigurationError: if the folder is not a clone, or e3nn is missing.
    """
    sys.path.insert(0, str(clone))
    try:
        module: Any = importlib.import_module("src.charge3net.models.e3")
    except ImportError as error:
        raise ConfigurationError(
            f"{clone} cannot be used as a clone of ChargE3Net's repository, with the package e3nn "
            f"installed: {error}."
        ) from None
    finally:
        sys.path.remove(str(clone))

    @register(NAME, ChargE3NetOptions, uses_directions=True, sums_messages=False)
    class ChargE3Net(DensityModel):
        """Their network for edges as they are kept here."""

        def __init__(self, options: ChargE3NetOptions, elements: Sequence[int]) -> None:
            super().__init__(options, elements)
            self.network = module.E3DensityModel(**options.model_dump(), basis="gaussian")

        def encode(self, graph: AtomGraph) -> Tensor:
            """Return the atoms' states after each step, beside each other: (1, atoms, numbers)."""
            self.species(graph.numbers)  # refuses elements that were not trained
            atoms = self.network.atom_model
            directions, distances = self._edge_inputs(graph.edges, atoms)
            states = torch.nn.functional.one_hot(graph.numbers, atoms.num_species)
            states = states.to(distances.dtype)
            ones = states.new_ones(len(states), 1)
            senders, receivers = graph.edges.senders.long(), graph.edges.receivers
            after = []
            for convolution, gate in zip(atoms.convolutions, atoms.gates, strict=True):
                states = convolution(states, ones, senders, receivers, directions, distances)
                states = gate(states)
                after.append(states)
            return torch.cat(after, dim=1)[None]

        def density(
            self, senders: Tensor, edges: Edges, table: RadialTable | None = None
        ) -> Tensor:
            """Return the density at probes; without an atom in reach it is zero."""
            probes = self.network.probe_model
            directions, distances = self._edge_inputs(edges, probes)
            sizes = [irreps.dim for irreps in self.network.atom_model.atom_irreps_sequence]
            states = senders.new_zeros(edges.n_receivers, 1)
            ones = torch.ones_like(states)
            of_atoms = senders.new_ones(senders.shape[1], 1)
            ends = edges.senders.long(), edges.receivers
            layers = zip(
                senders[0].split(sizes, dim=1), probes.convolutions, probes.gates, strict=True
            )
            for sent, convolution, gate in layers:
                states = convolution(sent, of_atoms, states, ones, *ends, directions, distances)
                states = gate(states)
            return probes.readout(states)[:, 0]

        def probe_table(self) -> RadialTable | None:
            """None: its filters are not kept in tables."""
            return None

        @staticmethod
        def _edge_inputs(edges: Edges, part: Any) -> tuple[Tensor, Tensor]:
            """Return spherical harmonics and functions of the distance, as `part` takes them."""
            harmonics = module.o3.spherical_harmonics(
                range(part.lmax + 1), edges.vectors, True, normalization="component"
            )
            return harmonics, part.basis(edges.distances)
