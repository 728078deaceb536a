"""Options of the architecture; their descriptions are the manual."""

from __future__ import annotations

from pydantic import Field

from deepdft.architectures.options import ArchitectureOptions


class AdditiveOptions(ArchitectureOptions):
    """Options of the architecture `additive`."""

    channels: int = Field(32, ge=1, description="Functions of distance.")
