"""The architecture `deepdft`: the paper's equations."""

from deepdft.architectures.deepdft.options import DeepDFTOptions
from deepdft.architectures.registry import Architecture

DEEPDFT = Architecture(
    name="deepdft",
    options=DeepDFTOptions,
    model="deepdft.architectures.deepdft.model:DeepDFT",
    cpu="deepdft.architectures.deepdft.cpu:DeepDFTOnCpu",
    per_element=frozenset({"embedding.weight"}),
)
