"""`deepdft.architectures.deepdft.block_network` with derivatives by the probes' position, in
forward mode.

Every number becomes a jet: its value with three first and, for a Hessian, six second derivatives.
An affine map acts on each component alone, so that a gradient costs four matrix products for one,
a Hessian ten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled, inner
from deepdft.kernels.edges.block_edges import Workspace
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.edges.jet_sums import sum_message_jets
from deepdft.kernels.jets import COMPONENTS
from deepdft.kernels.simd.jet_activations import (
    mix_first,
    mix_second,
    softplus_first,
    softplus_second,
)
from deepdft.kernels.simd.layers import dot_product
from deepdft.kernels.simd.tiles import multiply_tile
from deepdft.kernels.simd.vectors import PANEL, TILE_ROWS, address, padded

if TYPE_CHECKING:
    from deepdft.architectures.deepdft.block_network import GatedNetwork


CHUNK = 2 * TILE_ROWS
"""Probes whose hidden layer is held at once."""


def gated_jets(
    network: GatedNetwork, edges: JetEdges, polynomials: Array, order: int, workspace: Workspace
) -> Array:
    """Return density and derivatives at a block's receivers, (components, receivers) float32."""
    rows = padded(edges.n_receivers, CHUNK)
    width, components = network.width, COMPONENTS[order]
    array = workspace.array
    zeros = np.zeros(width, np.float32)
    messages = array("message jets", components * rows * width, np.float32)
    states = array("state jets", components * rows * width, np.float32)
    states[:] = 0.0
    hidden = array("hidden jets", components * CHUNK * 2 * width, np.float32)
    update = array("update jets", components * TILE_ROWS * PANEL, np.float32)
    gate = array("gate jets", components * TILE_ROWS * PANEL, np.float32)
    for t, table in enumerate(polynomials.reshape(network.steps, -1)):
        sum_message_jets(
            table, network._senders[t], edges.atoms, edges.receivers, edges.factors, edges.starts,
            network._knots, width, rows * width, order, messages,
        )  # fmt: skip
        _update_states(
            messages, network._weights[t], network._biases[t], network.channels, width, rows,
            order, zeros, hidden, update, gate, states,
        )  # fmt: skip
    result = array("jets", components * rows, np.float32)
    _read_out(
        states, network._readout_weight, network._readout_bias, network._output_weight,
        network._output_bias, network.channels, width, rows, order, zeros, hidden, result,
    )  # fmt: skip
    return result.reshape(components, rows)[:, : edges.n_receivers]


@compiled
def _update_states(
    messages: Any, weights: Any, biases: Any, channels: int, width: int, rows: int, order: int,
    zeros: Any, hidden: Any, update: Any, gate: Any, states: Any,
) -> None:  # fmt: skip
    """Update the jets of the probes' states by those of the messages of one step."""
    apart = rows * width
    for first in range(0, rows, CHUNK):
        for half in range(2):
            softplus_layer(
                messages, first * width, width, apart, weights[half], biases[half], zeros,
                channels, order, hidden, half * width, 2 * width,
            )  # fmt: skip
        _gated_update(
            hidden, weights[2], biases[2], weights[3], biases[3], zeros, channels, width, order,
            update, gate, states, first * width, apart,
        )  # fmt: skip


@compiled
def _read_out(
    states: Any, weight: Any, bias: Any, output_weight: Any, output_bias: float, channels: int,
    width: int, rows: int, order: int, zeros: Any, hidden: Any, result: Any,
) -> None:  # fmt: skip
    """Map the jets of the probes' states to those of densities."""
    for first in range(0, rows, CHUNK):
        softplus_layer(
            states, first * width, width, rows * width, weight, bias, zeros, channels, order,
            hidden, 0 * width, width,
        )  # fmt: skip
        for i in range(10 if order == 2 else 4):
            for p in range(CHUNK):
                total = dot_product(hidden, (i * CHUNK + p) * width, output_weight, channels)
                result[i * rows + first + p] = total + (output_bias if i == 0 else 0.0)


@inner
def softplus_layer(
    left: Any, left_first: int, left_stride: int, left_apart: int, weight: Any, bias: Any,
    zeros: Any, depth: int, order: int, out: Any, out_first: int, out_stride: int,
) -> None:  # fmt: skip
    """``out = softplus(left @ weight + bias)`` for the jets of one chunk of rows."""
    apart = CHUNK * out_stride
    for panel in range(len(bias) // PANEL):
        columns = address(weight, panel * depth * PANEL)
        for row in range(0, CHUNK, TILE_ROWS):
            place = out_first + row * out_stride + panel * PANEL
            for i in range(10 if order == 2 else 4):
                multiply_tile(
                    address(left, i * left_apart + left_first + row * left_stride), left_stride,
                    columns, address(zeros if i else bias, panel * PANEL), depth,
                    address(out, place + i * apart), out_stride,
                )  # fmt: skip
            for r in range(TILE_ROWS):
                if order == 2:
                    softplus_second(address(out, place + r * out_stride), apart)
                else:
                    softplus_first(address(out, place + r * out_stride), apart)


@inner
def _gated_update(
    hidden: Any, update_weight: Any, update_bias: Any, gate_weight: Any, gate_bias: Any,
    zeros: Any, depth: int, width: int, order: int, update: Any, gate: Any, states: Any,
    first: int, states_apart: int,
) -> None:  # fmt: skip
    """``states = F states + (1 - F) W5 hidden_1`` with ``F = sigmoid(W7 hidden_2)``, as jets."""
    tile = TILE_ROWS * PANEL
    for column in range(0, width, PANEL):
        for_update = address(update_weight, column * depth)
        for_gate = address(gate_weight, column * depth)
        for row in range(0, CHUNK, TILE_ROWS):
            for i in range(10 if order == 2 else 4):
                place = (i * CHUNK + row) * 2 * width
                multiply_tile(
                    address(hidden, place), 2 * width, for_update,
                    address(zeros if i else update_bias, column), depth,
                    address(update, i * tile), PANEL,
                )  # fmt: skip
                multiply_tile(
                    address(hidden, place + width), 2 * width, for_gate,
                    address(zeros if i else gate_bias, column), depth,
                    address(gate, i * tile), PANEL,
                )  # fmt: skip
            for r in range(TILE_ROWS):
                place = first + (row + r) * width + column
                if order == 2:
                    mix_second(
                        address(update, r * PANEL), address(gate, r * PANEL), tile,
                        address(states, place), states_apart,
                    )  # fmt: skip
                else:
                    mix_first(
                        address(update, r * PANEL), address(gate, r * PANEL), tile,
                        address(states, place), states_apart,
                    )  # fmt: skip
