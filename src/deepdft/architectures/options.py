"""Options that every architecture has."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MOST_STEPS = 32
"""Interaction steps; three to six are useful."""
WIDEST = 4096
"""Channels, scalars and other widths; 128 is usual."""
_MOST_FUNCTIONS = 2000
"""Gaussians of distance within a cutoff."""


class ArchitectureOptions(BaseModel):
    """Base of an architecture's options; their descriptions are the manual."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cutoff: float = Field(4.0, ge=0.1, le=50.0, description="Reach of an edge, Å.")

    @model_validator(mode="after")
    def _few_functions(self) -> Self:
        width = getattr(self, "gaussian_width", None)
        reach = max(self.cutoff, getattr(self, "atom_cutoff", 0.0))
        if width is not None and reach / width > _MOST_FUNCTIONS:
            raise ValueError(f"gaussian_width must be at least {reach / _MOST_FUNCTIONS:g} Å")
        return self
