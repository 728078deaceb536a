"""Messages with angular parts and their first and second derivatives by position.

A channel's message is ``R(d) S(r)``: the filter, and the harmonics contracted with what the atom
sends. See `deepdft.kernels.edges.jet_edges` for R, `deepdft.kernels.angular.angular_sums` for S.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types

from deepdft.compilation import compiled
from deepdft.kernels.angular.by_degree import by_degree
from deepdft.kernels.jets import COMPONENTS, FACTORS, PAIRS
from deepdft.kernels.simd.edge import EdgeMessage, row_of
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, PANEL, Vectors, address, intrinsic

_DIRECTIONS = PAIRS[3]

_ORDER = 2

_COMPONENTS = COMPONENTS[_ORDER]


def _contracted(vectors: Vectors, harmonics: Any, sent: list[Any]) -> list[Any]:
    """Return the jet of the harmonics contracted with what an atom sends."""
    builder = vectors.builder
    jet = []
    for component in range(_COMPONENTS):
        total = None
        for m, value in enumerate(sent):
            place = builder.gep(harmonics, [INDEX(m * _COMPONENTS + component)])
            factor = vectors.broadcast(place)
            if total is None:
                total = builder.fmul(factor, value)
            else:
                total = vectors.multiply_add(factor, value, total)
        jet.append(total)
    return jet


def _add_product(
    vectors: Vectors, edge: EdgeMessage, rows: list[Any], angular: list[Any], j: int
) -> None:
    """Add the jet of ``R S``."""
    multiply, fma = vectors.builder.fmul, vectors.multiply_add
    radial, across = edge.combined(rows, 0), edge.combined(rows, 6)
    slopes = [multiply(across, edge.factor(18 + i)) for i in range(3)]
    edge.add(0, j, radial, angular[0])
    for i in range(3):
        edge.add(1 + i, j, radial, angular[1 + i], multiply(slopes[i], angular[0]))
    along = edge.combined(rows, 12)
    for place, (i, k) in enumerate(_DIRECTIONS):
        bent = multiply(along, edge.factor(21 + place))
        if i == k:
            bent = vectors.builder.fadd(bent, across)
        rest = fma(slopes[i], angular[1 + k], fma(slopes[k], angular[1 + i],
                                                 multiply(bent, angular[0])))  # fmt: skip
        edge.add(4 + place, j, radial, angular[4 + place], rest)


@cache
def _sum_jets(degree: int) -> Any:
    """Return the intrinsic that adds one panel of message jets of one degree.

    Arguments: pointer to the six rows of coefficients and their stride; to sender rows, the stride
    between rows and that between functions; to the atom of each edge; to the values of message
    rows, the numbers between their components, and the receiver of each edge; to the factors of the
    edges; to the harmonics' jets of the first edge and the stride between edges; first and last + 1
    (at least one edge).
    """
    functions = 2 * degree + 1

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, width, senders, sender_stride, apart_sent, atoms, out, apart, receivers, factors,
         harmonics, edge_stride, first, last) = values  # fmt: skip
        vectors = Vectors(builder)
        places = [builder.gep(table, [builder.mul(width, INDEX(r))]) for r in range(6)]
        rows = [[vectors.load(place, j) for place in places] for j in range(2)]
        with counted(builder, first, last) as loop:
            edge = loop.index
            sender = row_of(builder, edge, senders, atoms, sender_stride)
            of_edge = builder.gep(factors, [builder.mul(edge, INDEX(FACTORS))])
            angular = builder.gep(harmonics, [builder.mul(edge, edge_stride)])
            this = EdgeMessage(
                builder, of_edge, row_of(builder, edge, out, receivers, width), apart
            )
            for j in range(2):
                sent = [
                    vectors.load(builder.gep(sender, [builder.mul(apart_sent, INDEX(m))]), j)
                    for m in range(functions)
                ]
                if functions == 1:
                    this.add_jet(sent[0], rows[j], j, _ORDER)
                else:
                    jet = _contracted(vectors, angular, sent)
                    _add_product(vectors, this, rows[j], jet, j)
        return target.get_dummy_value()

    @intrinsic
    def sum_jets(
        context: Any, table: Any, width: Any, senders: Any, sender_stride: Any, apart_sent: Any,
        atoms: Any, out: Any, apart: Any, receivers: Any, factors: Any, harmonics: Any,
        edge_stride: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, width, senders, sender_stride, apart_sent, atoms, out, apart, receivers, factors,
            harmonics, edge_stride, first, last,
        )  # fmt: skip
        return signature, generate

    return sum_jets


_sum = by_degree(_sum_jets)


@compiled
def sum_angular_jets(
    table: Any, senders: Any, atoms: Any, receivers: Any, factors: Any, harmonics: Any,
    starts: Any, channels: Any, width: int, sender_width: int, apart: int, out: Any,
) -> None:  # fmt: skip
    """Add messages with their derivatives to `out`.

    Args:
        table: ((knots - 1) * 6 * width,) coefficients, see `interval_polynomials`.
        senders: (atoms * sender_width,).
        atoms, receivers, factors, starts: see `deepdft.kernels.edges.jet_edges.JetEdges`.
        harmonics: see `deepdft.kernels.angular.harmonic_jets.fill_harmonic_jets`.
        channels: number of channels of each angular momentum, whole panels.
        width, sender_width: sizes of rows.
        apart: numbers between two components of `out`.
        out: (10 * apart,) messages, by component, receiver and channel.
    """
    edge_stride = len(channels) * len(channels) * _COMPONENTS
    channel = sent = 0
    for momentum in range(len(channels)):
        count = channels[momentum]
        for panel in range(0, count, PANEL):
            for k in range(len(starts) - 1):
                first, last = starts[k], starts[k + 1]
                if first == last:
                    continue
                _sum(
                    momentum, address(table, 6 * k * width + channel + panel), width,
                    address(senders, sent + panel), sender_width, count, address(atoms, 0),
                    address(out, channel + panel), apart, address(receivers, 0),
                    address(factors, 0), address(harmonics, momentum * momentum * _COMPONENTS),
                    edge_stride, first, last,
                )  # fmt: skip
        channel += count
        sent += (2 * momentum + 1) * count
