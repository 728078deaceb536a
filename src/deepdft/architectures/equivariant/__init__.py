"""The architecture `equivariant`: spherical tensors on atoms, fields around them."""

from deepdft.architectures.equivariant.options import EquivariantOptions
from deepdft.architectures.registry import Architecture

EQUIVARIANT = Architecture(
    name="equivariant",
    options=EquivariantOptions,
    model="deepdft.architectures.equivariant.model:Equivariant",
    cpu="deepdft.architectures.equivariant.cpu:EquivariantOnCpu",
    per_element=frozenset({"embedding.weight"}),
    uses_directions=True,
    sums_messages=False,
)
