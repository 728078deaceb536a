"""The filters of eq. (3) in NumPy."""

from __future__ import annotations

from deepdft.architectures.deepdft.options import DeepDFTOptions
from deepdft.architectures.on_cpu.weights import Weights
from deepdft.kernels.jets import Jet, linear, softplus
from deepdft.kernels.radial.filters import (
    each_channel,
    gaussian_centres,
    gaussians,
    polynomial_cutoff,
    published_cutoff,
)


class DeepDFTFilters:
    """Filters c(d) g(W3 g(W2 e(d))) of all interaction steps, or of one.

    Args:
        options: of the network.
        weights: of the network.
        name: of the filters among the weights.
        step: which step, or None for all.
    """

    def __init__(
        self, options: DeepDFTOptions, weights: Weights, name: str, step: int | None = None
    ) -> None:
        self._options = options
        steps, width = options.steps, options.channels
        count = len(gaussian_centres(options.cutoff, options.gaussian_width))
        chosen = slice(None) if step is None else slice(step, step + 1)
        self._hidden = [x[chosen] for x in weights.stacked(f"{name}.W2", steps, count, width)]
        self._output = [x[chosen] for x in weights.stacked(f"{name}.W3", steps, width, width)]

    def __call__(self, distances: Jet) -> Jet:
        """Map distances (edges,) in Å to filters (steps, edges, channels)."""
        cutoff = self._options.cutoff
        basis = gaussians(distances, cutoff, self._options.gaussian_width)
        filters = softplus(linear(softplus(linear(basis, *self._hidden)), *self._output))
        envelope = published_cutoff(distances, cutoff)
        if self._options.envelope == "smooth":
            envelope = envelope * polynomial_cutoff(distances, cutoff)
        return each_channel(envelope) * filters
