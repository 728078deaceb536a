"""The architecture `released-schnet`: what the authors released as DeepDFT's SchNet form."""

from deepdft.architectures.registry import Architecture
from deepdft.architectures.released_schnet.options import ReleasedSchNetOptions

RELEASED_SCHNET = Architecture(
    name="released-schnet",
    options=ReleasedSchNetOptions,
    model="deepdft.architectures.released_schnet.model:ReleasedSchNet",
    per_element=frozenset({"embedding.weight"}),
    keeps_constant=True,
    sums_messages=False,
)
