"""The probes' part of the architecture `deepdft` for a block: messages, gates, density.

Equations (3), (5), (6) and the readout network of `deepdft.architectures.deepdft.model.DeepDFT`,
step after step, in float32. A matrix product's result is passed through its activation while it is
in the first-level cache; nothing larger than a chunk's hidden layer leaves the second level.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled, inner
from deepdft.kernels.edges.block_edges import BlockEdges, Workspace
from deepdft.kernels.edges.block_messages import sum_messages
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.simd.layers import dot_product, packed_matrix, padded_vector, softplus_layer
from deepdft.kernels.simd.tiles import mix_tile, multiply_tile, multiply_tile_sigmoid
from deepdft.kernels.simd.vectors import (
    PANEL,
    TILE_ROWS,
    address,
    aligned_zeros,
    padded,
    padded_channels,
    padded_rows,
)

_CHUNK = 96
"""Probes whose hidden layer (2 F numbers each) is held at once; a multiple of every tile."""


class GatedNetwork:
    """Evaluates blocks of probes.

    Args:
        hidden: weights (T, F, 2 F) and biases (T, 1, 2 F) of W4 and W6 side by side.
        update: weights (T, F, F) and biases (T, 1, F) of W5.
        gate: of W7.
        readout_hidden: weights (F, F), by input and output, and biases (F,).
        readout_output: weights (F,) and bias.
        shift: added to the density, e/Å^3.
        table: (T, knots, 3, F) entries of the filters' table.
        senders: (T, atoms, F) what the atoms send.
    """

    harmonics: tuple[int, float] | None = None

    def __init__(
        self, hidden: tuple[Array, Array], update: tuple[Array, Array],
        gate: tuple[Array, Array], readout_hidden: tuple[Array, Array],
        readout_output: tuple[Array, float], shift: float, table: Array, senders: Array,
    ) -> None:  # fmt: skip
        self.steps, self.channels = hidden[0].shape[:2]
        self.blocks = [self.channels]
        self.width = padded_channels(self.channels)
        self._table = padded_rows(table).reshape(self.steps, -1)
        self._knots = table.shape[1]
        self._senders = padded_rows(senders).reshape(self.steps, -1)
        f = self.channels
        halves = [
            (hidden[0][..., :f], hidden[1][..., :f]), (hidden[0][..., f:], hidden[1][..., f:]),
            update, gate,
        ]  # fmt: skip
        self._weights = _stacked(
            [[packed_matrix(w[t], f) for w, _ in halves] for t in range(self.steps)]
        )
        self._biases = _stacked(
            [[padded_vector(b[t, 0]) for _, b in halves] for t in range(self.steps)]
        )
        self._readout_weight = packed_matrix(readout_hidden[0], f).reshape(-1)
        self._readout_bias = padded_vector(readout_hidden[1])
        self._output_weight = padded_vector(readout_output[0])
        self._output_bias = float(readout_output[1]) + shift

    def density(self, edges: BlockEdges, workspace: Workspace) -> Array:
        """Return the density at a block's receivers, (receivers,) float32 in e/Å^3.

        The result is a workspace's buffer: valid until the next block.
        """
        rows = padded(edges.n_receivers, TILE_ROWS)
        array, width = workspace.array, self.width
        result = array("density", rows, np.float32)
        _evaluate(
            self._table, self._senders, edges.atoms, edges.receivers, edges.weights, edges.starts,
            self._knots, self._weights, self._biases, self._readout_weight, self._readout_bias,
            self._output_weight, self._output_bias, self.channels, width, rows,
            array("messages", rows * width, np.float32),
            array("hidden", _CHUNK * 2 * width, np.float32),
            array("update", TILE_ROWS * PANEL, np.float32),
            array("gate", TILE_ROWS * PANEL, np.float32),
            array("states", rows * width, np.float32),
            result,
        )  # fmt: skip
        return result[: edges.n_receivers]

    def jets(self, edges: JetEdges, polynomials: Array, order: int, workspace: Workspace) -> Array:
        """Return density and derivatives at a block's receivers, see `JetNetwork`."""
        from deepdft.architectures.deepdft.block_derivatives import gated_jets

        return gated_jets(self, edges, polynomials, order, workspace)


def _stacked(arrays: list[list[Array]]) -> Array:
    """Stack arrays [step][matrix] into one aligned (steps, matrices, numbers)."""
    result = aligned_zeros((len(arrays), len(arrays[0]), arrays[0][0].size), np.float32)
    for t, row in enumerate(arrays):
        for i, array in enumerate(row):
            result[t, i] = array.reshape(-1)
    return result


@compiled
def _evaluate(
    table: Any, senders: Any, atoms: Any, receivers: Any, edge_weights: Any, starts: Any,
    knots: int, weights: Any, biases: Any, readout_weight: Any, readout_bias: Any,
    output_weight: Any, output_bias: float, channels: int, width: int, rows: int, messages: Any,
    hidden: Any, update: Any, gate: Any, states: Any, result: Any,
) -> None:  # fmt: skip
    for i in range(rows * width):
        states[i] = np.float32(0.0)
    for t in range(table.shape[0]):
        sum_messages(
            table[t], senders[t], atoms, receivers, edge_weights, starts, knots, width, rows,
            messages,
        )  # fmt: skip
        for first in range(0, rows, _CHUNK):
            count = min(_CHUNK, rows - first)
            for half in range(2):
                softplus_layer(
                    messages, first * width, width, weights[t, half], biases[t, half], channels,
                    count, hidden, half * width, 2 * width,
                )  # fmt: skip
            _gated_update(
                hidden, weights[t, 2], biases[t, 2], weights[t, 3], biases[t, 3], channels, width,
                count, update, gate, states, first * width,
            )  # fmt: skip
    for first in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - first)
        softplus_layer(
            states, first * width, width, readout_weight, readout_bias, channels, count, hidden, 0,
            width,
        )  # fmt: skip
        for p in range(count):
            result[first + p] = (
                dot_product(hidden, p * width, output_weight, channels) + output_bias
            )


@inner
def _gated_update(
    hidden: Any, update_weight: Any, update_bias: Any, gate_weight: Any, gate_bias: Any,
    depth: int, width: int, rows: int, update: Any, gate: Any, states: Any, first: int,
) -> None:  # fmt: skip
    """``states = F states + (1 - F) W5 hidden_1`` with ``F = sigmoid(W7 hidden_2)``."""
    for column in range(0, width, PANEL):
        for_update = address(update_weight, column * depth)
        for_gate = address(gate_weight, column * depth)
        for row in range(0, rows, TILE_ROWS):
            multiply_tile(
                address(hidden, 2 * row * width), 2 * width, for_update,
                address(update_bias, column), depth, address(update, 0), PANEL,
            )  # fmt: skip
            multiply_tile_sigmoid(
                address(hidden, (2 * row + 1) * width), 2 * width, for_gate,
                address(gate_bias, column), depth, address(gate, 0), PANEL,
            )  # fmt: skip
            mix_tile(
                address(update, 0), address(gate, 0), address(states, first + row * width + column),
                width,
            )  # fmt: skip
