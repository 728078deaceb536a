"""Weights by name, as a model folder holds them, with the shapes that the options ask for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deepdft.arrays import Array
from deepdft.errors import FileFormatError


class Weights:
    """Weights of a network.

    Args:
        arrays: weights by name.
        dtype: floating type that they are handed out in.
    """

    def __init__(self, arrays: Mapping[str, Array], dtype: Any) -> None:
        self._arrays, self.dtype = arrays, np.dtype(dtype)

    def of_type(self, dtype: Any) -> Weights:
        """Return the same weights in another floating type."""
        return Weights(self._arrays, dtype)

    def __call__(self, name: str, *shape: int) -> Array:
        """Return an array.

        Raises:
            FileFormatError: if it is missing or has another shape.
        """
        if name not in self._arrays:
            raise FileFormatError(f"The weights lack '{name}', which the architecture needs.")
        found = np.asarray(self._arrays[name])
        if found.shape != shape:
            raise FileFormatError(
                f"The weights '{name}' have the shape {found.shape}, and the model's options ask "
                f"for {shape}."
            )
        return np.ascontiguousarray(found, dtype=self.dtype)

    def linear(self, name: str, inputs: int, outputs: int) -> tuple[Array, Array]:
        """Return the weight (inputs, outputs) and the bias (outputs,) of an affine map."""
        weight = self(f"{name}.weight", outputs, inputs)
        return np.ascontiguousarray(weight.T), self(f"{name}.bias", outputs)

    def stacked(self, name: str, steps: int, inputs: int, outputs: int) -> tuple[Array, Array]:
        """Return the weights (steps, inputs, outputs) and biases (steps, 1, outputs) of steps."""
        weight = self(f"{name}.weight", steps, inputs, outputs)
        return weight, self(f"{name}.bias", steps, 1, outputs)
