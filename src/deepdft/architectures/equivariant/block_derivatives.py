"""`deepdft.architectures.equivariant.block_network` with derivatives by the probes' position.

The fields' derivatives are summed along with them. For a gradient, the derivatives of the density
by the fields come from one pass back through the two layers; for a Hessian the layers act on the
fields' derivatives, all ten components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdft.architectures.deepdft.block_derivatives import CHUNK, softplus_layer
from deepdft.arrays import Array
from deepdft.compilation import FUSED, compiled, inner
from deepdft.kernels.angular.angular_jets import sum_angular_jets
from deepdft.kernels.angular.harmonic_gradients import fill_harmonic_gradients
from deepdft.kernels.angular.harmonic_jets import fill_harmonic_jets
from deepdft.kernels.angular.harmonics import harmonic_steps
from deepdft.kernels.edges.block_edges import Workspace
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.jets import COMPONENTS
from deepdft.kernels.simd.jet_activations import softplus_and_slope
from deepdft.kernels.simd.layers import dot_product
from deepdft.kernels.simd.tiles import multiply_tile
from deepdft.kernels.simd.vectors import PANEL, TILE_ROWS, address, padded

if TYPE_CHECKING:
    from deepdft.architectures.equivariant.block_network import FieldNetwork

_U = np.uint64  # unsigned places spare the check for negative ones, which defeats vectorisation


def field_jets(
    network: FieldNetwork, edges: JetEdges, polynomials: Array, order: int, workspace: Workspace
) -> Array:
    """Return density and derivatives at a block's receivers, (components, receivers) float32."""
    assert network.harmonics is not None
    largest, softness = network.harmonics
    rows, components = padded(edges.n_receivers, CHUNK), COMPONENTS[order]
    width, hidden_width = network._width, network._hidden_width
    n_edges = int(edges.starts[-1])
    array = workspace.array
    harmonics = array("harmonic jets", n_edges * (largest + 1) ** 2 * components, np.float32)
    if largest and order == 1:
        fill_harmonic_gradients(
            edges.factors, n_edges, softness, *harmonic_steps(largest), harmonics
        )
    elif largest:
        fill_harmonic_jets(
            edges.factors, n_edges, softness, components, *harmonic_steps(largest), harmonics
        )
    fields = array("field jets", components * rows * width, np.float32)
    fields[:] = 0.0
    sum_angular_jets(
        polynomials.reshape(-1), network._senders, edges.atoms, edges.receivers, edges.factors,
        harmonics, edges.starts, network._channels, width, network._sender_width, rows * width,
        order, fields,
    )  # fmt: skip
    # The density of a probe without fields is zero.
    shift = -float(network._output @ network._unreached)
    result = array("jets", components * rows, np.float32)
    if order == 1:
        gradients = array("gradients of hidden", 3 * CHUNK * max(width, hidden_width), np.float32)
        _read_out_gradient(
            fields, network._linear, *network._weights, *network._transposed, network._output,
            shift, network._inner, width, hidden_width, rows,
            np.zeros(max(width, hidden_width), np.float32),
            array("hidden jets", 4 * CHUNK * hidden_width, np.float32), gradients, result,
        )  # fmt: skip
        return result.reshape(components, rows)[:, : edges.n_receivers]
    _read_out(
        fields, network._linear, *network._weights, network._output, shift,
        network._inner, width, hidden_width, rows, order,
        np.zeros(hidden_width, np.float32),
        array("hidden jets", components * CHUNK * hidden_width, np.float32),
        array("second hidden jets", components * CHUNK * hidden_width, np.float32),
        result,
    )  # fmt: skip
    return result.reshape(components, rows)[:, : edges.n_receivers]


@compiled
def _read_out(
    fields: Any, linear: Any, first: Any, first_bias: Any, second: Any, second_bias: Any,
    output: Any, shift: float, inner: int, width: int, hidden_width: int, rows: int, order: int,
    zeros: Any, hidden: Any, second_hidden: Any, result: Any,
) -> None:  # fmt: skip
    apart = rows * width
    begin = 0 * width  # of the type of other places, not a literal: one compilation less
    for start in range(0, rows, CHUNK):
        softplus_layer(
            fields, start * width, width, apart, first, first_bias, zeros, width, order, hidden,
            begin, hidden_width,
        )  # fmt: skip
        softplus_layer(
            hidden, begin, hidden_width, CHUNK * hidden_width, second, second_bias, zeros, inner,
            order, second_hidden, begin, hidden_width,
        )  # fmt: skip
        for i in range(10 if order == 2 else 4):
            for p in range(CHUNK):
                total = dot_product(fields, i * apart + (start + p) * width, linear, width)
                total += dot_product(second_hidden, (i * CHUNK + p) * hidden_width, output, inner)
                result[i * rows + start + p] = total + (shift if i == 0 else 0.0)


@compiled
def _read_out_gradient(
    fields: Any, linear: Any, first: Any, first_bias: Any, second: Any, second_bias: Any,
    first_back: Any, second_back: Any, output: Any, shift: float, inner: int, width: int,
    hidden_width: int, rows: int, zeros: Any, hidden: Any, back: Any, result: Any,
) -> None:  # fmt: skip
    """Map fields to densities, and their gradients through the derivatives by the fields."""
    size, begin = CHUNK * hidden_width, 0 * width
    for start in range(0, rows, CHUNK):
        # Values and slopes of both layers follow each other.
        _layer(fields, start * width, width, first, first_bias, width, hidden, begin, hidden_width)
        _layer(
            hidden, begin, hidden_width, second, second_bias, inner, hidden, 2 * size, hidden_width
        )
        for p in range(CHUNK):
            place = p * hidden_width
            total = dot_product(fields, (start + p) * width, linear, width)
            total += dot_product(hidden, 2 * size + place, output, inner)
            result[start + p] = total + shift
            _scaled(hidden, 3 * size + place, output, hidden_width)
        _product(
            hidden, 3 * size, hidden_width, second_back, zeros, hidden_width, hidden_width, back,
            hidden_width,
        )  # fmt: skip
        for i in range(size):
            back[i] *= hidden[size + i]
        # The layers' values are used up: their place takes the derivatives by the fields.
        _product(
            back, begin, hidden_width, first_back, zeros, hidden_width, width, back[size:], width
        )
        for p in range(CHUNK):
            place = size + p * width
            for c in range(width):
                back[place + c] += linear[c]
            for i in range(3):
                row = ((1 + i) * rows + start + p) * width
                result[(1 + i) * rows + start + p] = _dot(fields, row, back, place, width)


@inner
def _layer(
    left: Any, left_first: int, left_stride: int, weight: Any, bias: Any, depth: int, out: Any,
    out_first: int, out_stride: int,
) -> None:  # fmt: skip
    """softplus of an affine map of a chunk of rows; its slopes follow it."""
    for panel in range(len(bias) // PANEL):
        columns = address(weight, panel * depth * PANEL)
        for row in range(0, CHUNK, TILE_ROWS):
            place = out_first + row * out_stride + panel * PANEL
            multiply_tile(
                address(left, left_first + row * left_stride), left_stride, columns,
                address(bias, panel * PANEL), depth, address(out, place), out_stride,
            )  # fmt: skip
            for r in range(TILE_ROWS):
                here = place + r * out_stride
                softplus_and_slope(address(out, here), address(out, here + CHUNK * out_stride))


@inner
def _product(
    left: Any, left_first: int, left_stride: int, weight: Any, zeros: Any, depth: int,
    columns: int, out: Any, out_stride: int,
) -> None:  # fmt: skip
    """Matrix product of a chunk of rows."""
    for panel in range(columns // PANEL):
        for row in range(0, CHUNK, TILE_ROWS):
            multiply_tile(
                address(left, left_first + row * left_stride), left_stride,
                address(weight, panel * depth * PANEL), address(zeros, panel * PANEL), depth,
                address(out, row * out_stride + panel * PANEL), out_stride,
            )  # fmt: skip


@inner(fast=FUSED)
def _scaled(values: Any, first: int, factors: Any, count: int) -> None:
    for i in range(count):
        values[_U(first) + _U(i)] *= factors[i]


@inner(fast=FUSED | {"reassoc"})
def _dot(left: Any, first: int, right: Any, second: int, length: int) -> Any:
    total = np.float32(0.0)
    for i in range(length):
        total += left[_U(first) + _U(i)] * right[_U(second) + _U(i)]
    return total
