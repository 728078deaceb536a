"""Messages of edges that share an interval of the filter table, and their adjoint.

The six rows of the table that the edges share are loaded once and stay in vector registers.
"""

from __future__ import annotations

from typing import Any

from numba import types

from deepdft.kernels.simd.edge import numbers_of, row_of, weighted
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, WIDE, Vectors, intrinsic


def _sum_interval(count: int) -> Any:
    """Return the intrinsic that adds the messages of `count` vectors of channels."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        table, stride, senders, atoms, out, receivers, weights, weight_stride, first, last = values
        vectors = Vectors(builder)
        rows = [builder.gep(table, [builder.mul(stride, INDEX(r))]) for r in range(6)]
        entries = [[vectors.load(row, j) for row in rows] for j in range(count)]
        with counted(builder, first, last, maybe_none=True) as loop:
            edge = loop.index
            sender = row_of(builder, edge, senders, atoms, stride)
            message = row_of(builder, edge, out, receivers, stride)
            factors = numbers_of(vectors, edge, weights, weight_stride, 6)
            for j in range(count):
                value = weighted(vectors, factors, entries[j])
                before = vectors.load(message, j)
                total = vectors.multiply_add(vectors.load(sender, j), value, before)
                vectors.store(total, message, j)
        return target.get_dummy_value()

    @intrinsic
    def sum_interval(
        context: Any, table: Any, stride: Any, senders: Any, atoms: Any, out: Any,
        receivers: Any, weights: Any, weight_stride: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, stride, senders, atoms, out, receivers, weights, weight_stride, first, last
        )
        return signature, generate

    return sum_interval


@intrinsic
def adjoint_interval(
    context: Any, table: Any, stride: Any, senders: Any, atoms: Any, gradient: Any,
    receivers: Any, weights: Any, weight_stride: Any, first: Any, last: Any,
    table_gradient: Any, sender_gradient: Any,
) -> Any:  # fmt: skip
    """Adjoint of `sum_interval_pair`: add to the gradients of table rows and senders.

    Arguments as there, with the gradient of the messages in place of the messages; then pointers to
    the gradients of the six rows of the table and of the senders' rows. At least one edge.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, stride, senders, atoms, gradient, receivers, weights, weight_stride, first, last,
         table_gradient, sender_gradient) = values  # fmt: skip
        vectors = Vectors(builder)
        places = [(r, j) for r in range(6) for j in range(2)]
        offsets = [builder.mul(stride, INDEX(r)) for r in range(6)]
        entries = {(r, j): vectors.load(builder.gep(table, [offsets[r]]), j) for r, j in places}
        targets = [builder.gep(table_gradient, [offset]) for offset in offsets]
        initial = {(r, j): vectors.load(targets[r], j) for r, j in places}
        with counted(builder, first, last) as loop:
            edge = loop.index
            sums = {place: loop.carried(initial[place]) for place in places}
            sender = row_of(builder, edge, senders, atoms, stride)
            outgoing = row_of(builder, edge, sender_gradient, atoms, stride)
            incoming = row_of(builder, edge, gradient, receivers, stride)
            factors = numbers_of(vectors, edge, weights, weight_stride, 6)
            found = {}
            for j in range(2):
                arriving = vectors.load(incoming, j)
                value = weighted(vectors, factors, [entries[r, j] for r in range(6)])
                change = vectors.multiply_add(arriving, value, vectors.load(outgoing, j))
                vectors.store(change, outgoing, j)
                product = builder.fmul(arriving, vectors.load(sender, j))
                for r in range(6):
                    found[r, j] = vectors.multiply_add(factors[r], product, sums[r, j])
            for place in places:
                loop.hand_on(sums[place], found[place])
        for r, j in places:
            vectors.store(found[r, j], targets[r], j)
        return target.get_dummy_value()

    signature = types.void(
        table, stride, senders, atoms, gradient, receivers, weights, weight_stride, first, last,
        table_gradient, sender_gradient,
    )  # fmt: skip
    return signature, generate


sum_interval_wide = _sum_interval(WIDE)
"""Add the messages of edges first..last-1, all in one interval of the table, for WIDE vectors.

Arguments: pointers to the six rows of the table, `stride` apart; to sender rows and the atom of
each edge; to message rows and the receiver of each edge; to the six weights of each edge, by
weight and then by edge, `weight_stride` apart; first and last + 1.
"""

sum_interval_pair = _sum_interval(2)
"""As `sum_interval_wide`, for two vectors (one panel)."""
