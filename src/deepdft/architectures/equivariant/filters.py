"""Radial functions of the architecture `equivariant` in NumPy."""

from __future__ import annotations

import numpy as np

from deepdft.architectures.on_cpu.weights import Weights
from deepdft.arrays import FloatArray
from deepdft.kernels.jets import Jet, linear
from deepdft.kernels.radial.filters import (
    each_channel,
    gaussian_centres,
    gaussians,
    polynomial_cutoff,
)


class RadialFunctions:
    """Linear combinations of Gaussians of distance that vanish smoothly at the cutoff.

    Args:
        weights: of the network.
        name: of the functions among the weights.
        cutoff: where they end, Å.
        width: of the Gaussians, Å.
        outputs: number of functions.
    """

    def __init__(
        self, weights: Weights, name: str, cutoff: float, width: float, outputs: int
    ) -> None:
        self._cutoff, self._width = cutoff, width
        count = len(gaussian_centres(cutoff, width))
        self._weight, self._bias = weights.stacked(f"{name}.weights", 1, count, outputs)

    def __call__(self, distances: Jet) -> Jet:
        """Map distances (edges,) in Å to (1, edges, outputs)."""
        functions = linear(
            gaussians(distances, self._cutoff, self._width), self._weight, self._bias
        )
        return each_channel(polynomial_cutoff(distances, self._cutoff)) * functions


def enveloped_basis(distances: FloatArray, cutoff: float, width: float) -> FloatArray:
    """Return what all radial functions are linear in, (edges, centres + 1): Gaussians and 1, each
    times the polynomial that vanishes at the cutoff."""
    found = gaussians(Jet.constant(distances), cutoff, width).value
    envelope = polynomial_cutoff(Jet.constant(distances), cutoff).value
    basis = np.append(found, np.ones((len(found), 1)), axis=1)
    basis *= envelope[:, None]
    return basis
