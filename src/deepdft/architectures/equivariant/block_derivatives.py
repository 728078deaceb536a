"""`deepdft.architectures.equivariant.block_network` with Hessians by the probes' position.

The fields' derivatives are summed along with them, and the layers act on all ten components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdft.architectures.deepdft.block_derivatives import CHUNK, softplus_layer
from deepdft.arrays import Array
from deepdft.compilation import compiled
from deepdft.kernels.angular.angular_jets import sum_angular_jets
from deepdft.kernels.angular.harmonic_jets import fill_harmonic_jets
from deepdft.kernels.angular.harmonics import harmonic_steps
from deepdft.kernels.edges.block_edges import Workspace
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.jets import COMPONENTS
from deepdft.kernels.simd.layers import dot_product
from deepdft.kernels.simd.vectors import padded

if TYPE_CHECKING:
    from deepdft.architectures.equivariant.block_network import FieldNetwork

_ORDER = 2


def field_jets(
    network: FieldNetwork, edges: JetEdges, polynomials: Array, workspace: Workspace
) -> Array:
    """Return density and derivatives at a block's receivers, (components, receivers) float32."""
    assert network.harmonics is not None
    largest, softness = network.harmonics
    rows, components = padded(edges.n_receivers, CHUNK), COMPONENTS[_ORDER]
    width, hidden_width = network._width, network._hidden_width
    n_edges = int(edges.starts[-1])
    array = workspace.array
    harmonics = array("harmonic jets", n_edges * (largest + 1) ** 2 * components, np.float32)
    if largest:
        fill_harmonic_jets(edges.factors, n_edges, softness, *harmonic_steps(largest), harmonics)
    fields = array("field jets", components * rows * width, np.float32)
    fields[:] = 0.0
    sum_angular_jets(
        polynomials.reshape(-1), network._senders, edges.atoms, edges.receivers, edges.factors,
        harmonics, edges.starts, network._channels, width, network._sender_width, rows * width,
        fields,
    )  # fmt: skip
    # The density of a probe without fields is zero.
    shift = -float(network._output @ network._unreached)
    result = array("jets", components * rows, np.float32)
    _read_out(
        fields, network._linear, *network._weights, network._output, shift,
        network._inner, width, hidden_width, rows,
        np.zeros(hidden_width, np.float32),
        array("hidden jets", components * CHUNK * hidden_width, np.float32),
        array("second hidden jets", components * CHUNK * hidden_width, np.float32),
        result,
    )  # fmt: skip
    return result.reshape(components, rows)[:, : edges.n_receivers]


@compiled
def _read_out(
    fields: Any, linear: Any, first: Any, first_bias: Any, second: Any, second_bias: Any,
    output: Any, shift: float, inner: int, width: int, hidden_width: int, rows: int,
    zeros: Any, hidden: Any, second_hidden: Any, result: Any,
) -> None:  # fmt: skip
    apart = rows * width
    begin = 0 * width  # of the type of other places, not a literal: one compilation less
    for start in range(0, rows, CHUNK):
        softplus_layer(
            fields, start * width, width, apart, first, first_bias, zeros, width, _ORDER, hidden,
            begin, hidden_width,
        )  # fmt: skip
        softplus_layer(
            hidden, begin, hidden_width, CHUNK * hidden_width, second, second_bias, zeros, inner,
            _ORDER, second_hidden, begin, hidden_width,
        )  # fmt: skip
        for i in range(10):
            for p in range(CHUNK):
                total = dot_product(fields, i * apart + (start + p) * width, linear, width)
                total += dot_product(second_hidden, (i * CHUNK + p) * hidden_width, output, inner)
                result[i * rows + start + p] = total + (shift if i == 0 else 0.0)
