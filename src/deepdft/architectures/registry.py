"""The architectures by name, and what each of them can do.

An architecture is described without being loaded: `deepdft.architectures` imports no torch, and the
modules that a description names are imported when they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from deepdft.architectures.options import ArchitectureOptions
from deepdft.architectures.settings import EvaluationSettings
from deepdft.arrays import Array
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.plug_ins import ARCHITECTURES, load_plug_in, plug_ins

if TYPE_CHECKING:
    from deepdft.architectures.base import DensityModel
    from deepdft.architectures.interface import CpuNetwork

M = TypeVar("M", bound="type[DensityModel]")


@dataclass(frozen=True)
class Architecture:
    """Description of an architecture.

    Attributes:
        name: as in configurations and model folders.
        options: its options.
        model: the torch form, a `DensityModel`, or where it is: "module:class".
        cpu: where the form without torch is, "module:function", or None. The function takes
            options, elements, weights by name and `EvaluationSettings`, and returns a
            `CpuNetwork`.
        per_element: names of the parameters whose first axis runs over the elements.
        uses_directions: whether edges must have vectors.
        keeps_constant: whether probes with no atom in reach get what the network makes of no
            messages, instead of zero; `DensityModel.density` must then return it.
        sums_messages: whether the density is `DensityModel.readout` of messages that are sums of
            senders times filters of distance alone; then these need not be differentiated by
            autograd, and a GPU may sum them in its own way.
    """

    name: str
    options: type[ArchitectureOptions]
    model: type[DensityModel] | str
    cpu: str | None = None
    per_element: frozenset[str] = frozenset()
    uses_directions: bool = False
    keeps_constant: bool = False
    sums_messages: bool = True

    def model_class(self) -> type[DensityModel]:
        """Return the torch form; imports torch."""
        if not isinstance(self.model, str):
            return self.model
        found: type[DensityModel] = _load(self.model)
        return found

    def cpu_network(
        self,
        options: ArchitectureOptions,
        elements: Sequence[int],
        weights: Mapping[str, Array],
        settings: EvaluationSettings,
    ) -> CpuNetwork:
        """Return the form without torch.

        Raises:
            ConfigurationError: if there is none.
        """
        if self.cpu is None:
            raise ConfigurationError(
                f"The architecture '{self.name}' cannot be evaluated without torch."
            )
        network: CpuNetwork = _load(self.cpu)(options, elements, weights, settings)
        return network


def _load(place: str) -> Any:
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)


_ARCHITECTURES: dict[str, Architecture] = {}


def add_architecture(architecture: Architecture) -> None:
    """Make an architecture known."""
    _ARCHITECTURES[architecture.name] = architecture


def register(name: str, options: type[ArchitectureOptions], **can: Any) -> Callable[[M], M]:
    """Make an architecture known whose torch form is the decorated class.

    Args:
        name: as in configurations and model folders.
        options: its options.
        can: what it can do, see `Architecture`.
    """

    def decorate(model: M) -> M:
        model.architecture = Architecture(name, options, model, **can)
        add_architecture(model.architecture)
        return model

    return decorate


def architectures() -> list[str]:
    """Return the names of all architectures, those of other packages included."""
    return sorted({*_ARCHITECTURES, *plug_ins(ARCHITECTURES)})


def architecture(name: str) -> Architecture:
    """Return the description of an architecture.

    Raises:
        ConfigurationError: if there is none of this name, or the package that brings it cannot be
            imported.
    """
    if name not in _ARCHITECTURES and name in plug_ins(ARCHITECTURES):
        add_architecture(load_plug_in(ARCHITECTURES, name, Architecture, "architecture"))
    if name not in _ARCHITECTURES:
        raise ConfigurationError(
            f"There is no architecture '{name[:80]}'; known are {', '.join(architectures())}."
            + did_you_mean(name[:80], architectures())
        )
    return _ARCHITECTURES[name]


def parse_options(name: str, options: Mapping[str, Any]) -> ArchitectureOptions:
    """Return the validated options of an architecture.

    Raises:
        ConfigurationError: if the architecture or an option is unknown or a value is unusable.
    """
    options_class = architecture(name).options
    try:
        return options_class.model_validate(dict(options))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        hint = (
            did_you_mean(key, options_class.model_fields)
            if key not in options_class.model_fields
            else ""
        )
        message = first["msg"].removeprefix("Value error, ")
        begin = f"Option '{key[:80]}' of" if key else "Options of"
        raise ConfigurationError(f"{begin} architecture '{name}': {message}.{hint}") from None


def create_model(name: str, options: Mapping[str, Any], elements: Sequence[int]) -> DensityModel:
    """Return a new model with random weights, in torch.

    Args:
        name: architecture.
        options: its options, as in a configuration file.
        elements: atomic numbers the model shall know.

    Raises:
        ConfigurationError: as `parse_options`.
    """
    parsed = parse_options(name, options)
    return architecture(name).model_class()(parsed, elements)


def create_cpu_network(
    name: str,
    options: Mapping[str, Any],
    elements: Sequence[int],
    weights: Mapping[str, Array],
    settings: EvaluationSettings | None = None,
) -> CpuNetwork:
    """Return a network that is evaluated on a CPU without torch.

    Args:
        name: architecture.
        options: its options, as in a model folder.
        elements: atomic numbers the model knows.
        weights: by name, as in a model folder.
        settings: how to evaluate it.

    Raises:
        ConfigurationError: as `parse_options`, or if the architecture has no such form.
        FileFormatError: if the weights do not fit the options.
    """
    parsed = parse_options(name, options)
    return architecture(name).cpu_network(
        parsed, elements, weights, settings or EvaluationSettings()
    )
