"""The architectures by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import ValidationError

from deepdft.architectures.base import ArchitectureOptions, DensityModel
from deepdft.errors import ConfigurationError, did_you_mean

_ARCHITECTURES: dict[str, tuple[type[DensityModel], type[ArchitectureOptions]]] = {}

M = TypeVar("M", bound=type[DensityModel])


def register(name: str, options: type[ArchitectureOptions]) -> Callable[[M], M]:
    """Make an architecture known under `name`; use as a class decorator."""

    def decorate(architecture: M) -> M:
        _ARCHITECTURES[name] = (architecture, options)
        architecture.architecture_name = name
        architecture.Options = options
        return architecture

    return decorate


def architectures() -> list[str]:
    """Return the names of all registered architectures."""
    return sorted(_ARCHITECTURES)


def parse_options(name: str, options: Mapping[str, Any]) -> ArchitectureOptions:
    """Return the validated options of an architecture.

    Raises:
        ConfigurationError: if the architecture or an option is unknown or a value is unusable.
    """
    if name not in _ARCHITECTURES:
        raise ConfigurationError(
            f"There is no architecture '{name}'; known are {', '.join(architectures())}."
            + did_you_mean(name, architectures())
        )
    options_class = _ARCHITECTURES[name][1]
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
        raise ConfigurationError(
            f"Option '{key}' of architecture '{name}': {first['msg']}.{hint}"
        ) from None


def create_model(name: str, options: Mapping[str, Any], elements: Sequence[int]) -> DensityModel:
    """Return a new model with random weights.

    Args:
        name: architecture.
        options: its options, as in a configuration file.
        elements: atomic numbers the model shall know.

    Raises:
        ConfigurationError: as `parse_options`.
    """
    parsed = parse_options(name, options)
    return _ARCHITECTURES[name][0](parsed, elements)
