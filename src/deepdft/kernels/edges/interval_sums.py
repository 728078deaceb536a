"""Messages of edges that share an interval of the filter table, and their adjoint.

The six rows of the table that the edges share are loaded once and stay in vector registers.
"""

from __future__ import annotations

from typing import Any

from numba import types

from deepdft.kernels.simd.vectors import INDEX, WIDE, Vectors, intrinsic


def _sum_interval(count: int) -> Any:
    """Return the intrinsic that adds the messages of `count` vectors of channels."""

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        table, stride, senders, atoms, out, receivers, weights, weight_stride, first, last = values
        vectors = Vectors(builder)
        entries = [
            [
                vectors.load(builder.gep(table, [builder.mul(stride, INDEX(r))]), j)
                for j in range(count)
            ]
            for r in range(6)
        ]
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", first, last), loop, after)
        builder.position_at_end(loop)
        edge = builder.phi(INDEX)
        edge.add_incoming(first, entry)

        def row_of(base: Any, indices: Any) -> Any:
            index = builder.sext(builder.load(builder.gep(indices, [edge])), INDEX)
            return builder.gep(base, [builder.mul(index, stride)])

        sender, message = row_of(senders, atoms), row_of(out, receivers)
        factors = [
            vectors.broadcast(
                builder.gep(weights, [builder.add(edge, builder.mul(weight_stride, INDEX(r)))])
            )
            for r in range(6)
        ]
        for j in range(count):
            value = builder.fmul(factors[0], entries[0][j])
            for r in range(1, 6):
                value = vectors.multiply_add(factors[r], entries[r][j], value)
            total = vectors.multiply_add(vectors.load(sender, j), value, vectors.load(message, j))
            vectors.store(total, message, j)
        following = builder.add(edge, INDEX(1))
        edge.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
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
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        edge = builder.phi(INDEX)
        edge.add_incoming(first, entry)
        sums = {place: builder.phi(vectors.type) for place in places}

        def row_of(base: Any, index: Any) -> Any:
            return builder.gep(base, [builder.mul(index, stride)])

        atom = builder.sext(builder.load(builder.gep(atoms, [edge])), INDEX)
        receiver = builder.sext(builder.load(builder.gep(receivers, [edge])), INDEX)
        sender, incoming = row_of(senders, atom), row_of(gradient, receiver)
        outgoing = row_of(sender_gradient, atom)
        factors = [
            vectors.broadcast(
                builder.gep(weights, [builder.add(edge, builder.mul(weight_stride, INDEX(r)))])
            )
            for r in range(6)
        ]
        found = {}
        for j in range(2):
            arriving = vectors.load(incoming, j)
            value = builder.fmul(factors[0], entries[0, j])
            for r in range(1, 6):
                value = vectors.multiply_add(factors[r], entries[r, j], value)
            vectors.store(
                vectors.multiply_add(arriving, value, vectors.load(outgoing, j)), outgoing, j
            )
            product = builder.fmul(arriving, vectors.load(sender, j))
            for r in range(6):
                found[r, j] = vectors.multiply_add(factors[r], product, sums[r, j])
        following = builder.add(edge, INDEX(1))
        edge.add_incoming(following, loop)
        for place in places:
            sums[place].add_incoming(initial[place], entry)
            sums[place].add_incoming(found[place], loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
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
