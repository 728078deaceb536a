"""`deepdft.architectures.equivariant.block_network` with gradients by the probes' position.

The fields' gradients are summed along with them. The derivatives of the density by the fields come
from one pass back through the two layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import FUSED, compiled, inner
from deepdft.kernels.angular.angular_gradients import sum_angular_gradients
from deepdft.kernels.angular.harmonics import (
    fill_soft_harmonics,
    harmonic_count,
    harmonic_steps,
)
from deepdft.kernels.angular.lowered import (
    fill_positions,
    lower_senders,
    lowering_of,
    number_atoms,
)
from deepdft.kernels.edges.block_edges import Workspace
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.simd.jet_activations import softplus_and_slope
from deepdft.kernels.simd.layers import dot_product
from deepdft.kernels.simd.tiles import multiply_tile
from deepdft.kernels.simd.vectors import PANEL, TILE_ROWS, address, padded

if TYPE_CHECKING:
    from deepdft.architectures.equivariant.block_network import FieldNetwork

_U = np.uint64  # unsigned places spare the check for negative ones, which defeats vectorisation

_CHUNK = 24
"""Probes whose layers are held at once; a multiple of every tile."""


def field_gradients(
    network: FieldNetwork, edges: JetEdges, polynomials: Array, workspace: Workspace
) -> Array:
    """Return density and gradient at a block's receivers, (4, receivers) float32."""
    rows = padded(edges.n_receivers, TILE_ROWS)
    width, hidden_width = network._width, network._hidden_width
    array = workspace.array
    fields = array("field jets", 4 * rows * width, np.float32)
    fields[:] = 0.0
    _sum_fields(network, edges, polynomials, rows * width, workspace, fields)
    # The density of a probe without fields is zero.
    shift = -float(network._output @ network._unreached)
    result = array("jets", 4 * rows, np.float32)
    widest = max(width, hidden_width)
    _read_out(
        fields, network._linear, *network._weights, *network._transposed, network._output,
        shift, network._inner, width, hidden_width, rows, np.zeros(widest, np.float32),
        array("hidden jets", 4 * _CHUNK * hidden_width, np.float32),
        array("derivatives by fields", 2 * _CHUNK * widest, np.float32), result,
    )  # fmt: skip
    return result.reshape(4, rows)[:, : edges.n_receivers]


def _sum_fields(
    network: FieldNetwork, edges: JetEdges, polynomials: Array, apart: int, workspace: Workspace,
    out: Array,
) -> None:  # fmt: skip
    """Add the fields and their gradients, whose components lie `apart`, to `out`."""
    assert network.harmonics is not None
    largest, softness = network.harmonics
    array, n_edges = workspace.array, int(edges.starts[-1])
    numbers = array("sender numbers", n_edges, np.int32)
    chosen = array("chosen atoms", n_edges, np.int32)
    places = array("places of atoms", len(network._senders) // network._sender_width, np.int32)
    count = number_atoms(edges.atoms, n_edges, places, chosen, numbers)
    lowering = lowering_of(tuple(network._channels.tolist()))
    lowered = array("lowered senders", count * lowering.width, np.float32)
    lower_senders(
        network._senders, network._sender_width, chosen, count, lowering.places, lowering.factors,
        lowered, lowering.width,
    )  # fmt: skip
    x, y, z = (array(f"edge {axis}", n_edges, np.float64) for axis in "xyz")
    scales = array("edge scales", n_edges, np.float32)
    fill_positions(edges.factors, n_edges, softness, x, y, z, scales)
    before = max(largest - 1, 0)
    harmonics = array("lower harmonics", n_edges * harmonic_count(before), np.float32)
    fill_soft_harmonics(
        x, y, z, n_edges, softness, *harmonic_steps(before), harmonics, n_edges
    )  # fmt: skip
    sum_angular_gradients(
        polynomials.reshape(-1), lowered, numbers, edges.receivers, edges.factors, scales,
        harmonics, edges.starts, network._channels, network._width, lowering.width, apart, out,
    )  # fmt: skip


@compiled
def _read_out(
    fields: Any, linear: Any, first: Any, first_bias: Any, second: Any, second_bias: Any,
    first_back: Any, second_back: Any, output: Any, shift: float, inner: int, width: int,
    hidden_width: int, rows: int, zeros: Any, hidden: Any, back: Any, result: Any,
) -> None:  # fmt: skip
    """Map fields to densities, and their gradients through the derivatives by the fields."""
    size, begin = _CHUNK * hidden_width, 0 * width
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        # Values and slopes of both layers follow each other.
        _layer(
            fields, start * width, width, first, first_bias, width, count, hidden, begin,
            hidden_width,
        )  # fmt: skip
        _layer(
            hidden, begin, hidden_width, second, second_bias, inner, count, hidden, 2 * size,
            hidden_width,
        )  # fmt: skip
        for p in range(count):
            place = p * hidden_width
            total = dot_product(fields, (start + p) * width, linear, width)
            total += dot_product(hidden, 2 * size + place, output, inner)
            result[start + p] = total + shift
            _scaled(hidden, 3 * size + place, output, hidden_width)
        _product(
            hidden, 3 * size, hidden_width, second_back, zeros, hidden_width, hidden_width, count,
            back, hidden_width,
        )  # fmt: skip
        for i in range(count * hidden_width):
            back[i] *= hidden[size + i]
        _product(
            back, begin, hidden_width, first_back, zeros, hidden_width, width, count, back[size:],
            width,
        )  # fmt: skip
        for p in range(count):
            place = size + p * width
            for c in range(width):
                back[place + c] += linear[c]
            for i in range(3):
                row = ((1 + i) * rows + start + p) * width
                result[(1 + i) * rows + start + p] = _dot(fields, row, back, place, width)


@inner
def _layer(
    left: Any, left_first: int, left_stride: int, weight: Any, bias: Any, depth: int, rows: int,
    out: Any, out_first: int, out_stride: int,
) -> None:  # fmt: skip
    """softplus of an affine map of some rows; its slopes follow a chunk later."""
    for panel in range(len(bias) // PANEL):
        columns = address(weight, panel * depth * PANEL)
        for row in range(0, rows, TILE_ROWS):
            place = out_first + row * out_stride + panel * PANEL
            multiply_tile(
                address(left, left_first + row * left_stride), left_stride, columns,
                address(bias, panel * PANEL), depth, address(out, place), out_stride,
            )  # fmt: skip
            for r in range(TILE_ROWS):
                here = place + r * out_stride
                softplus_and_slope(address(out, here), address(out, here + _CHUNK * out_stride))


@inner
def _product(
    left: Any, left_first: int, left_stride: int, weight: Any, zeros: Any, depth: int,
    columns: int, rows: int, out: Any, out_stride: int,
) -> None:  # fmt: skip
    """Matrix product of some rows."""
    for panel in range(columns // PANEL):
        for row in range(0, rows, TILE_ROWS):
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
