"""Messages with angular parts, of edges that share an interval of the filter table.

As `deepdft.kernels.edges.interval_sums`, but what an atom sends has 2 l + 1 components a channel,
which are contracted with the spherical harmonics of the edge before they are weighed by the filter.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types

from deepdft.kernels.simd.edge_loop import row_of
from deepdft.kernels.simd.vectors import INDEX, Vectors, intrinsic


class _Edge:
    """Loads of what belongs to one edge, in a function under construction."""

    def __init__(self, vectors: Vectors, edge: Any) -> None:
        self._vectors, self._builder, self._edge = vectors, vectors.builder, edge

    def row(self, base: Any, indices: Any, stride: Any) -> Any:
        return row_of(self._builder, self._edge, base, indices, stride)

    def numbers(self, base: Any, stride: Any, count: int) -> list[Any]:
        """Broadcast `count` numbers of the edge, which lie `stride` apart."""
        builder = self._builder
        return [
            self._vectors.broadcast(
                builder.gep(base, [builder.add(self._edge, builder.mul(stride, INDEX(i)))])
            )
            for i in range(count)
        ]


def _weighted(vectors: Vectors, factors: list[Any], values: list[Any]) -> Any:
    total = vectors.builder.fmul(factors[0], values[0])
    for factor, value in zip(factors[1:], values[1:], strict=True):
        total = vectors.multiply_add(factor, value, total)
    return total


@cache
def sum_angular_interval(components: int) -> Any:
    """Return the intrinsic that adds the messages of one panel of channels.

    Its arguments: pointer to the six rows of the table and their stride; to sender rows, the
    stride between rows and that between components; to the atom of each edge; to message rows
    (of the table's stride) and the receiver of each edge; to the six weights of each edge, by
    weight and then by edge; to the harmonics of each edge, likewise; the stride of both; first and
    last + 1.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, width, senders, sender_stride, component_stride, atoms, out, receivers, weights,
         harmonics, edge_stride, first, last) = values  # fmt: skip
        vectors = Vectors(builder)
        entries = [
            [vectors.load(builder.gep(table, [builder.mul(width, INDEX(r))]), j) for r in range(6)]
            for j in range(2)
        ]
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.cbranch(builder.icmp_signed("<", first, last), loop, after)
        builder.position_at_end(loop)
        index = builder.phi(INDEX)
        index.add_incoming(first, entry)
        edge = _Edge(vectors, index)
        sender = edge.row(senders, atoms, sender_stride)
        message = edge.row(out, receivers, width)
        factors = edge.numbers(weights, edge_stride, 6)
        angular = edge.numbers(harmonics, edge_stride, components)
        for j in range(2):
            sent = [
                vectors.load(builder.gep(sender, [builder.mul(component_stride, INDEX(m))]), j)
                for m in range(components)
            ]
            total = vectors.multiply_add(
                _weighted(vectors, angular, sent),
                _weighted(vectors, factors, entries[j]),
                vectors.load(message, j),
            )
            vectors.store(total, message, j)
        following = builder.add(index, INDEX(1))
        index.add_incoming(following, loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
        return target.get_dummy_value()

    @intrinsic
    def sum_interval(
        context: Any, table: Any, width: Any, senders: Any, sender_stride: Any,
        component_stride: Any, atoms: Any, out: Any, receivers: Any, weights: Any, harmonics: Any,
        edge_stride: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, width, senders, sender_stride, component_stride, atoms, out, receivers, weights,
            harmonics, edge_stride, first, last,
        )  # fmt: skip
        return signature, generate

    return sum_interval


@cache
def adjoint_angular_interval(components: int) -> Any:
    """Return the adjoint of `sum_angular_interval`: it adds to gradients of table and senders.

    Arguments as there, with the gradient of the messages in place of the messages; then pointers
    to the gradients of the six rows of the table and of the senders' rows. At least one edge.
    """

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, width, senders, sender_stride, component_stride, atoms, gradient, receivers,
         weights, harmonics, edge_stride, first, last, table_gradient, sender_gradient) = (
            values
        )  # fmt: skip
        vectors = Vectors(builder)
        rows = [builder.mul(width, INDEX(r)) for r in range(6)]
        places = [(r, j) for r in range(6) for j in range(2)]
        entries = {(r, j): vectors.load(builder.gep(table, [rows[r]]), j) for r, j in places}
        targets = [builder.gep(table_gradient, [row]) for row in rows]
        initial = {(r, j): vectors.load(targets[r], j) for r, j in places}
        entry, loop = builder.block, builder.append_basic_block("edge")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        index = builder.phi(INDEX)
        sums = {place: builder.phi(vectors.type) for place in places}
        edge = _Edge(vectors, index)
        sender = edge.row(senders, atoms, sender_stride)
        outgoing = edge.row(sender_gradient, atoms, sender_stride)
        incoming = edge.row(gradient, receivers, width)
        factors = edge.numbers(weights, edge_stride, 6)
        angular = edge.numbers(harmonics, edge_stride, components)
        offsets = [builder.mul(component_stride, INDEX(m)) for m in range(components)]
        found = {}
        for j in range(2):
            arriving = vectors.load(incoming, j)
            sent = [vectors.load(builder.gep(sender, [offset]), j) for offset in offsets]
            product = builder.fmul(arriving, _weighted(vectors, angular, sent))
            for r in range(6):
                found[r, j] = vectors.multiply_add(factors[r], product, sums[r, j])
            filtered = [entries[r, j] for r in range(6)]
            passed = builder.fmul(arriving, _weighted(vectors, factors, filtered))
            for m, offset in enumerate(offsets):
                place = builder.gep(outgoing, [offset])
                change = vectors.multiply_add(angular[m], passed, vectors.load(place, j))
                vectors.store(change, place, j)
        following = builder.add(index, INDEX(1))
        index.add_incoming(first, entry)
        index.add_incoming(following, loop)
        for place in places:
            sums[place].add_incoming(initial[place], entry)
            sums[place].add_incoming(found[place], loop)
        builder.cbranch(builder.icmp_signed("<", following, last), loop, after)
        builder.position_at_end(after)
        for r, j in places:
            vectors.store(found[r, j], targets[r], j)
        return target.get_dummy_value()

    @intrinsic
    def adjoint_interval(
        context: Any, table: Any, width: Any, senders: Any, sender_stride: Any,
        component_stride: Any, atoms: Any, gradient: Any, receivers: Any, weights: Any,
        harmonics: Any, edge_stride: Any, first: Any, last: Any, table_gradient: Any,
        sender_gradient: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, width, senders, sender_stride, component_stride, atoms, gradient, receivers,
            weights, harmonics, edge_stride, first, last, table_gradient, sender_gradient,
        )  # fmt: skip
        return signature, generate

    return adjoint_interval
