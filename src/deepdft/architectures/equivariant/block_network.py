"""The probes' part of the architecture `equivariant` for a block: fields, network, density.

In float32; a matrix product's result is passed through its activation while it is in the
first-level cache (see `deepdft.architectures.deepdft.block_network`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import compiled
from deepdft.kernels.angular.layouts import AngularLayout
from deepdft.kernels.angular.messages import sum_angular_messages
from deepdft.kernels.edges.block_edges import BlockEdges, Workspace
from deepdft.kernels.edges.jet_edges import JetEdges
from deepdft.kernels.simd.layers import dot_product, packed_matrix, padded_vector, softplus_layer
from deepdft.kernels.simd.vectors import (
    PANEL,
    TILE_ROWS,
    padded,
    padded_blocks,
    padded_channels,
    padded_rows,
)

_U = np.uint64  # unsigned places spare the check for negative ones, which defeats vectorisation

_CHUNK = 96
"""Probes whose hidden layers are held at once; a multiple of every tile."""


class FieldNetwork:
    """Evaluates blocks of probes: ``linear . s + output . (g(W g(W s + b) + b) - unreached)``.

    Args:
        table: entries of the table of the fields' radial functions, (1, knots, 3, width).
        senders: coefficients of the fields, (1, atoms, sender_width).
        layout: angular momenta of the fields.
        linear: (width,) weights of the fields themselves.
        hidden: weights by input and output, and biases, of two layers.
        output: (hidden,) weights of the second layer's result.
        unreached: (hidden,) the second layer's result for a probe without fields.
    """

    def __init__(
        self, table: Array, senders: Array, layout: AngularLayout, linear: Array,
        hidden: list[tuple[Array, Array]], output: Array, unreached: Array,
    ) -> None:  # fmt: skip
        self.harmonics: tuple[int, float] | None = (layout.largest, layout.softness)
        # Every angular momentum begins with a panel of its own.
        self.blocks = blocks = list(layout.channels)
        of_senders = [n for momentum, n in enumerate(blocks) for _ in range(2 * momentum + 1)]
        layout = AngularLayout(tuple(padded(n, PANEL) for n in blocks), layout.softness)
        self._table = padded_rows(padded_blocks(table, blocks)).reshape(-1)
        self._senders = padded_rows(padded_blocks(senders, of_senders)).reshape(-1)
        self._channels = np.array(layout.channels)
        self._width, self._sender_width = layout.width, layout.sender_width
        self._linear = padded_vector(padded_blocks(linear, blocks))
        (first, first_bias), (second, second_bias) = hidden
        self._inner = len(first_bias)
        self._hidden_width = padded_channels(self._inner)
        self._weights = (
            packed_matrix(padded_blocks(first.T, blocks).T, layout.width).reshape(-1),
            padded_vector(first_bias),
            packed_matrix(second, self._inner).reshape(-1),
            padded_vector(second_bias),
        )
        # For derivatives by the inputs.
        self._transposed = (
            packed_matrix(padded_blocks(first.T, blocks), self._hidden_width).reshape(-1),
            packed_matrix(second.T, self._hidden_width).reshape(-1),
        )
        self._output = padded_vector(output)
        self._unreached = padded_vector(unreached)

    def density(self, edges: BlockEdges, workspace: Workspace) -> Array:
        """Return the density at a block's receivers, (receivers,) float32 in e/Å^3.

        The result is a workspace's buffer: valid until the next block.
        """
        rows = padded(edges.n_receivers, TILE_ROWS)
        array = workspace.array
        fields = array("messages", rows * self._width, np.float32)
        fields[:] = 0.0
        sum_angular_messages(
            self._table, self._senders, edges.atoms, edges.receivers, edges.weights,
            edges.harmonics, edges.starts, self._channels, self._width, self._sender_width, fields,
        )  # fmt: skip
        result = array("density", rows, np.float32)
        _read_out(
            fields, self._linear, *self._weights, self._output, self._unreached, self._inner,
            self._width, self._hidden_width, rows,
            array("hidden", _CHUNK * self._hidden_width, np.float32),
            array("second hidden", _CHUNK * self._hidden_width, np.float32),
            result,
        )  # fmt: skip
        return result[: edges.n_receivers]

    def jets(self, edges: JetEdges, polynomials: Array, order: int, workspace: Workspace) -> Array:
        """Return density and derivatives at a block's receivers, see `JetNetwork`."""
        from deepdft.architectures.equivariant.block_derivatives import field_jets
        from deepdft.architectures.equivariant.block_gradients import field_gradients

        of_order = field_gradients if order == 1 else field_jets
        return of_order(self, edges, polynomials, workspace)


@compiled
def _read_out(
    fields: Any, linear: Any, first: Any, first_bias: Any, second: Any, second_bias: Any,
    output: Any, unreached: Any, inner: int, width: int, hidden_width: int, rows: int, hidden: Any,
    second_hidden: Any, result: Any,
) -> None:  # fmt: skip
    """Map fields to densities."""
    begin = 0 * width  # of the type of other places, not a literal: one compilation less
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        softplus_layer(
            fields,
            start * width,
            width,
            first,
            first_bias,
            width,
            count,
            hidden,
            begin,
            hidden_width,
        )
        softplus_layer(
            hidden, begin, hidden_width, second, second_bias, inner, count, second_hidden, begin,
            hidden_width,
        )  # fmt: skip
        for p in range(count):
            for i in range(inner):
                second_hidden[_U(p * hidden_width) + _U(i)] -= unreached[i]
            result[start + p] = dot_product(
                fields, (start + p) * width, linear, width
            ) + dot_product(second_hidden, p * hidden_width, output, inner)
