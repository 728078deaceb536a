"""The architecture `additive`: a sum of functions of distance, one of each element."""

from deepdft.architectures import Architecture
from deepdft_additive.options import AdditiveOptions

ADDITIVE = Architecture(
    name="additive",
    options=AdditiveOptions,
    model="deepdft_additive.model:Additive",
    cpu="deepdft_additive.cpu:AdditiveOnCpu",
    per_element=frozenset({"embedding.weight"}),
)
