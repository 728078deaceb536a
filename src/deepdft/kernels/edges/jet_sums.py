"""Messages with their derivatives by position, of edges that share an interval of the table.

As `deepdft.kernels.edges.interval_sums`: the six coefficients of the interval stay in vector
registers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types

from deepdft.compilation import compiled
from deepdft.kernels.jets import FACTORS
from deepdft.kernels.simd.edge import EdgeMessage, row_of
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, PANEL, Vectors, address, intrinsic


def _sum_jets(order: int) -> Any:
    """Return the intrinsic that adds two vectors (one panel) of message jets."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        table, stride, senders, atoms, out, apart, receivers, factors, first, last = values
        vectors = Vectors(builder)
        places = [builder.gep(table, [builder.mul(stride, INDEX(r))]) for r in range(6)]
        entries = [[vectors.load(place, j) for place in places] for j in range(2)]
        with counted(builder, first, last) as loop:
            edge = loop.index
            sender = row_of(builder, edge, senders, atoms, stride)
            message = row_of(builder, edge, out, receivers, stride)
            of_edge = builder.gep(factors, [builder.mul(edge, INDEX(FACTORS))])
            this = EdgeMessage(builder, of_edge, message, apart)
            for j in range(2):
                this.add_jet(vectors.load(sender, j), entries[j], j, order)
        return target.get_dummy_value()

    @intrinsic
    def sum_jets(
        context: Any, table: Any, stride: Any, senders: Any, atoms: Any, out: Any, apart: Any,
        receivers: Any, factors: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, stride, senders, atoms, out, apart, receivers, factors, first, last
        )
        return signature, generate

    return sum_jets


_sum_first, _sum_second = _sum_jets(1), _sum_jets(2)
"""Add the messages of edges first..last-1, at least one, all in one interval of the table.

Arguments: pointers to the six rows of coefficients, `stride` apart; to sender rows and the atom of
each edge; to the values of message rows, the numbers between their components, and the receiver of
each edge; to the factors of the edges; first and last + 1.
"""


@compiled
def sum_message_jets(
    table: Any, senders: Any, atoms: Any, receivers: Any, factors: Any, starts: Any, knots: int,
    width: int, apart: int, order: int, out: Any,
) -> None:  # fmt: skip
    """Sum the messages of one step with their derivatives.

    Args:
        table: ((knots - 1) * 6 * width,) coefficients of the step, see `interval_polynomials`.
        senders: (atoms * width,) sender features of the step.
        atoms, receivers, factors, starts: see `deepdft.kernels.edges.jet_edges.JetEdges`.
        knots: number of knots.
        width: padded number of channels.
        apart: numbers between two components of `out`.
        order: 1 or 2.
        out: (components * apart,) messages, by component, receiver and channel.
    """
    for i in range((10 if order == 2 else 4) * apart):
        out[i] = np.float32(0.0)
    for channel in range(0, width, PANEL):
        for k in range(knots - 1):
            first, last = starts[k], starts[k + 1]
            if first == last:
                continue
            entries = address(table, 6 * k * width + channel)
            if order == 2:
                _sum_second(
                    entries, width, address(senders, channel), address(atoms, 0),
                    address(out, channel), apart, address(receivers, 0), address(factors, 0),
                    first, last,
                )  # fmt: skip
            else:
                _sum_first(
                    entries, width, address(senders, channel), address(atoms, 0),
                    address(out, channel), apart, address(receivers, 0), address(factors, 0),
                    first, last,
                )  # fmt: skip
