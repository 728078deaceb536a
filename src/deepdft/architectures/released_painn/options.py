"""Options of the architecture `released-painn`."""

from __future__ import annotations

from pydantic import Field

from deepdft.architectures.options import MOST_STEPS, WIDEST, ArchitectureOptions


class ReleasedPaiNNOptions(ArchitectureOptions):
    """Options of the architecture `released-painn`."""

    steps: int = Field(3, ge=1, le=MOST_STEPS, description="Interaction steps T.")
    channels: int = Field(128, ge=1, le=WIDEST, description="Width F of states and messages.")
    radial_functions: int = Field(
        30, ge=1, le=WIDEST, description="Functions sin(n pi d / cutoff) / d."
    )
