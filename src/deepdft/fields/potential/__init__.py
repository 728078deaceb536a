"""The electrostatic potential of a density and its ions."""

from deepdft.fields.potential.field import ElectrostaticPotential

__all__ = ["ElectrostaticPotential"]
