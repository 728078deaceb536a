"""How a network is evaluated: what a prediction depends on besides weights and structure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.kernels.radial.hermite import DEFAULT_SPACING

Filters = Literal["tabulated", "direct"]
Precision = Literal["float32", "float64"]
Products = Literal["float32", "float16"]

_CHOICES = {
    "filters": get_args(Filters),
    "precision": get_args(Precision),
    "products": get_args(Products),
}

_WORDS = {
    "filters": "way to evaluate filters",
    "table_spacing": "spacing of filter tables",
    "precision": "floating type",
    "products": "precision of products",
}


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation; equal settings and weights give equal densities.

    Attributes:
        filters: "tabulated" (fast) or "direct" (filter networks evaluated on every edge; the
            reference).
        table_spacing: distance between the knots of tables, Å.
        precision: floating type of the computation.
        products: how a GPU with Triton multiplies matrices: "float32" (from numbers split in two
            halves, as accurate as float32) or "float16" (about three times as fast,
            with the rounding of half precision in its weights). Makes no difference on a CPU.

    Raises:
        ConfigurationError: for a value that does not exist.
    """

    filters: Filters = "tabulated"
    table_spacing: float = DEFAULT_SPACING
    precision: Precision = "float32"
    products: Products = "float32"

    def __post_init__(self) -> None:
        for name, known in _CHOICES.items():
            value = getattr(self, name)
            if value not in known:
                raise ConfigurationError(
                    f"The setting '{name}' must be one of {', '.join(known)}, not {value!r}."
                )
        if not 0.0 < self.table_spacing < float("inf"):
            raise ConfigurationError(
                f"The spacing of filter tables must be positive, not {self.table_spacing} Å."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EvaluationSettings:
        """Return the settings that `to_dict` gave.

        Raises:
            ConfigurationError: for a setting or a value that does not exist.
        """
        known = list(_WORDS)
        for name in values:
            if name not in known:
                raise ConfigurationError(
                    f"There is no setting '{name}' of an evaluation; known are "
                    f"{', '.join(known)}." + did_you_mean(name, known)
                )
        return cls(**dict(values))

    def difference(self, other: EvaluationSettings) -> str:
        """Return in words the first setting that differs, or nothing."""
        for name, words in _WORDS.items():
            if getattr(self, name) != getattr(other, name):
                return words
        return ""
