"""A checkpoint's network, evaluated in some way on some device."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deepdft.architectures.interface import CpuNetwork
from deepdft.architectures.settings import EvaluationSettings, Precision
from deepdft.extras import require_extra
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction.evaluation import suits_cpu_form

if TYPE_CHECKING:
    from typing import Self

    from deepdft.architectures.base import DensityModel


class EvaluatedCheckpoint:
    """A network, made from a checkpoint when it is first asked for.

    Args:
        checkpoint: description and weights.
        settings: how it is evaluated; default: from tables, in the type of its weights.
        device: torch's name of where it computes.

    Attributes:
        checkpoint: description and weights.
    """

    def __init__(
        self, checkpoint: Checkpoint, settings: EvaluationSettings | None, device: str
    ) -> None:
        self.checkpoint = checkpoint
        self._settings = settings or EvaluationSettings(precision=checkpoint.precision)
        self._device = device
        self._network: DensityModel | None = None
        self._evaluator: CpuNetwork | None = None

    @property
    def elements(self) -> list[str]:
        """Chemical symbols that the model knows."""
        return self.checkpoint.symbols

    @property
    def cutoff(self) -> float:
        """Reach of an atom, Å."""
        return float(self.checkpoint.options.cutoff)

    @property
    def settings(self) -> EvaluationSettings:
        """How the network is evaluated."""
        return self._settings

    @property
    def device(self) -> str:
        """Where the network computes, as torch calls it."""
        return self._device

    def to(
        self,
        device: str | None = None,
        precision: Precision | None = None,
        *,
        settings: EvaluationSettings | None = None,
    ) -> Self:
        """Evaluate the network elsewhere or otherwise; return self.

        Args:
            device: as torch calls it; default: where it is.
            precision: floating type; default: as it is.
            settings: all settings, before the precision.
        """
        self._device = device or self._device
        self._settings = settings or self._settings
        if precision is not None:
            self._settings = replace(self._settings, precision=precision)
        self._network = self._evaluator = None
        return self

    @property
    def network(self) -> DensityModel:
        """The network in torch, on the device and of the precision; made when it is first asked.

        Raises:
            MissingDependencyError: if torch is not installed.
        """
        if self._network is None:
            require_extra("torch", self._purpose_of_torch())
            from deepdft.models.networks import network_with_weights

            network = network_with_weights(self.checkpoint, self.settings, self.device)
            self._network = network
        return self._network

    @property
    def evaluator(self) -> CpuNetwork:
        """What evaluates the network; without torch where the architecture has such a form.

        Raises:
            MissingDependencyError: if torch is needed and not installed.
            FileFormatError: if the weights do not fit.
        """
        if self._evaluator is None:
            if suits_cpu_form(self.checkpoint.about, self.settings, self.device):
                self._evaluator = self.checkpoint.cpu_network(self.settings)
            else:
                network = self.network
                from deepdft.prediction.torch_network import TorchNetwork

                self._evaluator = TorchNetwork(network)
        return self._evaluator

    def _purpose_of_torch(self) -> str:
        if self.checkpoint.about.cpu is None:
            return f"The architecture '{self.checkpoint.architecture}'"
        if self.device != "cpu":
            return f"The device '{self.device}'"
        return "A network in torch"
