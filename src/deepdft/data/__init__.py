"""Reference densities to train and evaluate on."""

from deepdft.data.dataset import (
    EVALUATION_MARGIN,
    EVALUATION_SPACING,
    DensityDataset,
    Probes,
)
from deepdft.data.open import (
    open_dataset,
    random_split,
    read_split,
    shuffled_with_elements_first,
    split_part,
)

__all__ = [
    "EVALUATION_MARGIN",
    "EVALUATION_SPACING",
    "DensityDataset",
    "Probes",
    "open_dataset",
    "random_split",
    "read_split",
    "shuffled_with_elements_first",
    "split_part",
]
