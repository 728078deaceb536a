"""A model without torch: what its network is, its weights, and what is needed to use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.registry import Architecture, architecture
from deepdft.architectures.settings import EvaluationSettings, Precision
from deepdft.extras import require_extra
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.levels import LevelOfTheory

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel
    from deepdft.architectures.interface import CpuNetwork

Weights = Mapping[str, NDArray[Any]]


@dataclass
class Checkpoint:
    """A network's description and weights, with what is needed to use it.

    Attributes:
        architecture: name of the architecture.
        options: its options.
        elements: atomic numbers the network knows, ascending.
        weights: by name, as `DensityModel.state_dict` has them.
        level: level of theory of the densities it was trained on.
        baseline: name of the atomic tables below the network, or None.
        card: the model card: data, split, measured errors, cost.
        tables: the atomic tables, or None for those that come with the package by that name.
        expected_errors: what errors to expect, as the file of the model folder has it (see
            `deepdft.models.expected_errors`); it tells which weights it is about.
        electron_shapes: by element, where errors of the number of electrons are expected; their
            integrals weigh the elements. None where nobody has looked, see
            `deepdft.prediction.electrons`.
    """

    architecture: str
    options: ArchitectureOptions
    elements: tuple[int, ...]
    weights: Weights
    level: LevelOfTheory = field(default_factory=LevelOfTheory)
    baseline: str | None = None
    card: dict[str, Any] = field(default_factory=dict)
    tables: AtomicDensityTables | None = None
    expected_errors: bytes | None = field(default=None, repr=False)
    electron_shapes: AtomicDensityTables | None = None

    def __post_init__(self) -> None:
        if self.baseline is not None and self.tables is None:
            self.tables = AtomicDensityTables.load(self.baseline)

    @classmethod
    def of_network(
        cls,
        network: DensityModel,
        level: LevelOfTheory | None = None,
        baseline: str | None = None,
        card: dict[str, Any] | None = None,
        tables: AtomicDensityTables | None = None,
    ) -> Checkpoint:
        """Return the checkpoint of a network in torch; its weights are copied."""
        return cls(
            network.architecture.name,
            network.options,
            network.elements,
            {
                name: np.array(tensor.detach().cpu().numpy(), order="C")
                for name, tensor in network.state_dict().items()
            },
            level or LevelOfTheory(),
            baseline,
            card or {},
            tables,
        )

    @property
    def symbols(self) -> list[str]:
        """Chemical symbols of the elements that the network knows."""
        return [chemical_symbols[z] for z in self.elements]

    @property
    def about(self) -> Architecture:
        """Description of the architecture."""
        return architecture(self.architecture)

    @property
    def precision(self) -> Precision:
        """Floating type of the weights."""
        kinds = {array.dtype for array in self.weights.values()}
        return "float64" if np.dtype(np.float64) in kinds else "float32"

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(array.size for array in self.weights.values())

    @cached_property
    def network(self) -> DensityModel:
        """The network in torch, in evaluation mode, of the weights' type; made when first asked.

        torch's random state stays as it is.

        Raises:
            MissingDependencyError: if torch is not installed.
            FileFormatError: if the weights do not fit.
        """
        require_extra("torch", f"A network of the architecture '{self.architecture}' in torch")
        from deepdft.models.networks import network_with_weights

        return network_with_weights(self)

    def cpu_network(self, settings: EvaluationSettings | None = None) -> CpuNetwork:
        """Return the network in the form that is evaluated on a CPU without torch.

        Raises:
            ConfigurationError: if the architecture has none.
            FileFormatError: if the weights do not fit.
        """
        return self.about.cpu_network(
            self.options, self.elements, self.weights, settings or EvaluationSettings()
        )
