"""Options of the architecture `released-schnet`."""

from __future__ import annotations

from pydantic import Field

from deepdft.architectures.options import MOST_STEPS, WIDEST, ArchitectureOptions


class ReleasedSchNetOptions(ArchitectureOptions):
    """Options of the architecture `released-schnet`."""

    steps: int = Field(6, ge=1, le=MOST_STEPS, description="Interaction steps T.")
    channels: int = Field(128, ge=1, le=WIDEST, description="Width F of states and messages.")
    gaussian_width: float = Field(
        0.1, gt=0, le=50.0, description="Width and spacing of the Gaussians of eq. (2), Å."
    )
