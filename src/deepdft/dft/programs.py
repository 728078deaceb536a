"""The programs that reference calculations are made with, by name, and their settings from text."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from deepdft.dft.calculation import ReferenceCalculation
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.storage.yaml_text import option_value

PROGRAMS = {
    "pyscf": "deepdft.dft.pyscf:PySCFCalculation",
    "cp2k": "deepdft.dft.cp2k:CP2KCalculation",
    "quantum-espresso": "deepdft.dft.quantum_espresso:QuantumEspressoCalculation",
    "gpaw": "deepdft.dft.gpaw:GPAWCalculation",
}
"""Where each program's `ReferenceCalculation` is; loaded when it is asked for."""


def create_calculation(program: str, settings: Sequence[str] = ()) -> ReferenceCalculation:
    """Return a program with its settings.

    Args:
        program: a key of `PROGRAMS`.
        settings: ``key=value`` texts, values in YAML; what is not named keeps its default.

    Raises:
        ConfigurationError: if there is no such program or setting, or a value does not fit.
    """
    if program not in PROGRAMS:
        raise ConfigurationError(
            f"There is no program '{program}'; known are {', '.join(PROGRAMS)}."
            + did_you_mean(program, PROGRAMS)
        )
    module, _, name = PROGRAMS[program].partition(":")
    kind: type[ReferenceCalculation] = getattr(importlib.import_module(module), name)
    values = dict(_parse(text) for text in settings)
    try:
        return kind(kind.Settings.model_validate(values))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            hint = did_you_mean(key, kind.Settings.model_fields)
            raise ConfigurationError(f"{program} has no setting '{key}'.{hint}") from None
        raise ConfigurationError(f"Setting '{key}' of {program}: {first['msg']}.") from None


def _parse(text: str) -> tuple[str, Any]:
    key, separator, value = text.partition("=")
    if not separator or not key:
        raise ConfigurationError(f"'{text}' is not of the form key=value.")
    return key, option_value(value, text[:80])
