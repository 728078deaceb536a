"""Options of the architecture `equivariant`."""

from __future__ import annotations

from pydantic import Field, model_validator

from deepdft.architectures.options import MOST_STEPS, WIDEST, ArchitectureOptions


class EquivariantOptions(ArchitectureOptions):
    """Options of the architecture `equivariant`."""

    cutoff: float = Field(3.0, ge=0.1, le=50.0, description="Reach of an atom's fields, Å.")
    atom_cutoff: float = Field(
        4.0, ge=0.1, le=50.0, description="Reach of an edge between atoms, Å."
    )
    steps: int = Field(3, ge=1, le=MOST_STEPS, description="Interaction steps between atoms.")
    scalars: int = Field(128, ge=1, le=WIDEST, description="Scalar features of an atom.")
    tensors: int = Field(
        32, ge=1, le=WIDEST, description="Channels of an atom's spherical tensors."
    )
    degree: int = Field(3, ge=1, le=4, description="Largest degree of the spherical tensors.")
    fields: tuple[int, ...] = Field(
        (64, 64, 32, 32),
        description="Fields at probes for each angular momentum l = 0, 1, ... (multiples of 32).",
    )
    hidden: int = Field(
        128, ge=1, le=WIDEST, description="Width of the network that maps fields to rho."
    )
    gaussian_width: float = Field(
        0.15, gt=0, le=50.0, description="Width and spacing of the Gaussians of distance, Å."
    )
    softness: float = Field(
        0.4,
        ge=1e-3,
        le=50.0,
        description="Distance below which a probe's directions are softened, Å.",
    )

    @model_validator(mode="after")
    def _fields_have_tensors(self) -> EquivariantOptions:
        if not 1 <= len(self.fields) <= self.degree + 1 or not (
            1 <= min(self.fields) <= max(self.fields) <= WIDEST
        ):
            raise ValueError(
                f"fields must hold 1 to {self.degree + 1} numbers from 1 to {WIDEST}, "
                "for l = 0 up to the degree of the tensors"
            )
        return self
