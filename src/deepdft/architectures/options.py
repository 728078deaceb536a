"""Options that every architecture has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ArchitectureOptions(BaseModel):
    """Base of an architecture's options; their descriptions are the manual."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    cutoff: float = Field(4.0, gt=0, description="Reach of an edge, Å.")
