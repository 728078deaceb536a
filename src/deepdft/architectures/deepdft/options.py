"""Options of the architecture `deepdft`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deepdft.architectures.options import MOST_STEPS, WIDEST, ArchitectureOptions


class DeepDFTOptions(ArchitectureOptions):
    """Options of the architecture `deepdft`."""

    steps: int = Field(6, ge=1, le=MOST_STEPS, description="Interaction steps T.")
    channels: int = Field(128, ge=1, le=WIDEST, description="Width F of states and messages.")
    gaussian_width: float = Field(
        0.1, gt=0, le=50.0, description="Width and spacing of the Gaussians of eq. (2), Å."
    )
    envelope: Literal["published", "smooth"] = Field(
        "published",
        description=(
            "'published': the soft cutoff of eq. (3), which jumps by 5.5e-4 at the cutoff; "
            "'smooth': times a polynomial that vanishes there with slope and curvature."
        ),
    )
