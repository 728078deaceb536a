"""Messages with angular parts, of edges that share an interval of the filter table.

As `deepdft.kernels.edges.interval_sums`, but what an atom sends has 2 l + 1 components a channel,
which are contracted with the spherical harmonics of the edge before they are weighed by the filter.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types

from deepdft.kernels.simd.edge import numbers_of, row_of, weighted
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, Vectors, intrinsic


@cache
def sum_angular_interval(degree: int) -> Any:
    """Return the intrinsic that adds the messages of one panel of channels of a degree.

    Its arguments: pointer to the six rows of the table and their stride; to sender rows, the
    stride between rows and that between components; to the atom of each edge; to message rows
    (of the table's stride) and the receiver of each edge; to the six weights of each edge, by
    weight and then by edge; to the harmonics of each edge, likewise; the stride of both; first and
    last + 1.
    """
    components = 2 * degree + 1

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, width, senders, sender_stride, component_stride, atoms, out, receivers, weights,
         harmonics, edge_stride, first, last) = values  # fmt: skip
        vectors = Vectors(builder)
        entries = [
            [vectors.load(builder.gep(table, [builder.mul(width, INDEX(r))]), j) for r in range(6)]
            for j in range(2)
        ]
        with counted(builder, first, last, maybe_none=True) as loop:
            edge = loop.index
            sender = row_of(builder, edge, senders, atoms, sender_stride)
            message = row_of(builder, edge, out, receivers, width)
            factors = numbers_of(vectors, edge, weights, edge_stride, 6)
            angular = numbers_of(vectors, edge, harmonics, edge_stride, components)
            for j in range(2):
                sent = [
                    vectors.load(builder.gep(sender, [builder.mul(component_stride, INDEX(m))]), j)
                    for m in range(components)
                ]
                total = vectors.multiply_add(
                    weighted(vectors, angular, sent),
                    weighted(vectors, factors, entries[j]),
                    vectors.load(message, j),
                )
                vectors.store(total, message, j)
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
def adjoint_angular_interval(degree: int) -> Any:
    """Return the adjoint of `sum_angular_interval`: it adds to gradients of table and senders.

    Arguments as there, with the gradient of the messages in place of the messages; then pointers
    to the gradients of the six rows of the table and of the senders' rows. At least one edge.
    """
    components = 2 * degree + 1

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
        with counted(builder, first, last) as loop:
            edge = loop.index
            sums = {place: loop.carried(initial[place]) for place in places}
            sender = row_of(builder, edge, senders, atoms, sender_stride)
            outgoing = row_of(builder, edge, sender_gradient, atoms, sender_stride)
            incoming = row_of(builder, edge, gradient, receivers, width)
            factors = numbers_of(vectors, edge, weights, edge_stride, 6)
            angular = numbers_of(vectors, edge, harmonics, edge_stride, components)
            offsets = [builder.mul(component_stride, INDEX(m)) for m in range(components)]
            found = {}
            for j in range(2):
                arriving = vectors.load(incoming, j)
                sent = [vectors.load(builder.gep(sender, [offset]), j) for offset in offsets]
                product = builder.fmul(arriving, weighted(vectors, angular, sent))
                for r in range(6):
                    found[r, j] = vectors.multiply_add(factors[r], product, sums[r, j])
                filtered = [entries[r, j] for r in range(6)]
                passed = builder.fmul(arriving, weighted(vectors, factors, filtered))
                for m, offset in enumerate(offsets):
                    place = builder.gep(outgoing, [offset])
                    change = vectors.multiply_add(angular[m], passed, vectors.load(place, j))
                    vectors.store(change, place, j)
            for place in places:
                loop.hand_on(sums[place], found[place])
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
