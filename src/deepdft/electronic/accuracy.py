"""How good properties were on structures held out of training, as measured with the bundled models.

The numbers are in `accuracy.json`, written by `benchmarks/accuracy/properties.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class StatedErrors:
    """Mean absolute errors against DFT on held-out structures.

    Attributes:
        values: by name of the property, in its unit.
        structures: how many structures were looked at.
        data: words on what they are.
    """

    values: Mapping[str, float] = field(default_factory=dict)
    structures: int = 0
    data: str = ""

    def of(self, name: str, unit: str = "") -> str:
        """Return "± 0.09 D", or an empty string where it was not measured."""
        value = self.values.get(name)
        return "" if value is None else f"± {value:.2g} {unit}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**self.values, "structures": self.structures, "data": self.data}


def stated_errors(model: str) -> StatedErrors:
    """Return the errors measured with a bundled model; none are known of others."""
    known = _measured().get(model)
    if known is None:
        return StatedErrors()
    return StatedErrors(known["errors"], int(known["structures"]), known["data"])


@lru_cache(maxsize=1)
def _measured() -> dict[str, Any]:
    text = (files("deepdft.electronic") / "accuracy.json").read_text(encoding="utf-8")
    measured: dict[str, Any] = json.loads(text)
    return measured
