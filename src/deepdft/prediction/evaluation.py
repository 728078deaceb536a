"""Which form of a network a prediction is computed with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from ase import Atoms

from deepdft.architectures.interface import CpuNetwork
from deepdft.architectures.registry import Architecture
from deepdft.architectures.settings import EvaluationSettings
from deepdft.extras import is_installed
from deepdft.fields.atoms import AtomicDensityTables

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel
    from deepdft.prediction.device_engine import DeviceEngine


@runtime_checkable
class OnDevice(CpuNetwork, Protocol):
    """A network in torch, on the device that it was put on.

    What it encodes stays there.
    """

    def device_engine(
        self, senders: Any, baseline: AtomicDensityTables | None, atoms: Atoms, isolated: float
    ) -> DeviceEngine | None:
        """Return what evaluates a structure wholly on a GPU, where that is possible.

        Args:
            senders: what `encode` returned.
            baseline: atomic densities below the network, or None.
            atoms: the structure.
            isolated: density of a probe with no atom in reach, without baseline, e/Å^3.
        """
        ...


def suits_cpu_form(
    architecture: Architecture, settings: EvaluationSettings, device: str = "cpu"
) -> bool:
    """Return whether a network is evaluated without torch.

    On a CPU, where the architecture has such a form: in float32 from tables, which is compiled;
    otherwise, which torch does faster, only where torch is not installed.
    """
    if architecture.cpu is None or device != "cpu":
        return False
    compiled = settings.precision == "float32" and settings.filters == "tabulated"
    return compiled or not is_installed("torch")


def evaluated(network: CpuNetwork | DensityModel) -> CpuNetwork:
    """Return what evaluates a network: a network in torch is brought into the form that serves."""
    if not hasattr(network, "state_dict"):
        return network
    from deepdft.models.checkpoint import Checkpoint
    from deepdft.prediction.torch_network import TorchNetwork

    network = cast("DensityModel", network)
    wrapped = TorchNetwork(network)
    if suits_cpu_form(network.architecture, wrapped.settings, wrapped.device.type):
        return Checkpoint.of_network(network).cpu_network(wrapped.settings)
    return wrapped
