"""The architecture `released-painn`: what the authors released as DeepDFT's PaiNN form."""

from deepdft.architectures.registry import Architecture
from deepdft.architectures.released_painn.options import ReleasedPaiNNOptions

RELEASED_PAINN = Architecture(
    name="released-painn",
    options=ReleasedPaiNNOptions,
    model="deepdft.architectures.released_painn.model:ReleasedPaiNN",
    per_element=frozenset({"embedding.weight"}),
    uses_directions=True,
    keeps_constant=True,
    sums_messages=False,
)
