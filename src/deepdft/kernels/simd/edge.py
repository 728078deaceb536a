"""Instructions for one edge: its rows, its numbers, its factors times its row of the table."""

from __future__ import annotations

from typing import Any

from deepdft.kernels.simd.vectors import INDEX, Vectors


def row_of(builder: Any, edge: Any, base: Any, indices: Any, stride: Any) -> Any:
    """Return a pointer to an edge's row, whose number stands among 32-bit `indices`."""
    index = builder.sext(builder.load(builder.gep(indices, [edge])), INDEX)
    return builder.gep(base, [builder.mul(index, stride)])


def numbers_of(vectors: Vectors, edge: Any, base: Any, stride: Any, count: int) -> list[Any]:
    """Broadcast `count` numbers of an edge, which lie `stride` apart."""
    builder = vectors.builder
    return [
        vectors.broadcast(builder.gep(base, [builder.add(edge, builder.mul(stride, INDEX(i)))]))
        for i in range(count)
    ]


def weighted(vectors: Vectors, factors: list[Any], values: list[Any]) -> Any:
    """Sum values, each times a factor."""
    total = vectors.builder.fmul(factors[0], values[0])
    for factor, value in zip(factors[1:], values[1:], strict=True):
        total = vectors.multiply_add(factor, value, total)
    return total


class EdgeMessage:
    """Instructions for one edge, whose factors and message are at given places."""

    def __init__(self, builder: Any, factors: Any, message: Any, apart: Any) -> None:
        self._builder = builder
        self._vectors = Vectors(builder)
        self._factors = factors
        self._message = message
        self._apart = apart

    def factor(self, index: int) -> Any:
        return self._vectors.broadcast(self._builder.gep(self._factors, [INDEX(index)]))

    def combined(self, rows: list[Any], first_factor: int) -> Any:
        """Sum the table's rows, each times a factor."""
        factors = [self.factor(first_factor + r) for r in range(6)]
        return weighted(self._vectors, factors, rows)

    def add(self, component: int, j: int, x: Any, y: Any, rest: Any = None) -> None:
        """Add ``x y + rest`` to a vector of a component of the message."""
        offset = self._builder.mul(self._apart, INDEX(component))
        place = self._builder.gep(self._message, [offset])
        total = self._vectors.load(place, j)
        if rest is not None:
            total = self._builder.fadd(total, rest)
        self._vectors.store(self._vectors.multiply_add(x, y, total), place, j)

    def add_jet(self, sent: Any, rows: list[Any], j: int, order: int) -> None:
        """Add the edge's message with its derivatives, see `deepdft.kernels.edges.jet_edges`."""
        self.add(0, j, sent, self.combined(rows, 0))
        across = self._builder.fmul(sent, self.combined(rows, 6))
        for i in range(3):
            self.add(1 + i, j, across, self.factor(18 + i))
        if order == 2:
            along = self._builder.fmul(sent, self.combined(rows, 12))
            for i in range(6):
                self.add(4 + i, j, along, self.factor(21 + i), across if i < 3 else None)
