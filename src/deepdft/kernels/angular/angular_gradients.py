"""Messages with angular parts and their gradients by position.

A channel's message is ``R(d) S(v)``, with ``v = s r``, ``s = (d^2 + a^2)^(-1/2)`` and S harmonics
of degree l contracted with what the atom sends. From ``g = dS/dv`` (see
`deepdft.kernels.angular.lowered`) follow ``S = v . g / l`` and

    d(R S)/dr = R s g + (R' S / d - l s^2 R S) r.

R and R' are those of the polynomial of the edge's interval, by Horner's scheme.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from numba import types

from deepdft.compilation import compiled
from deepdft.kernels.angular.by_degree import by_degree
from deepdft.kernels.jets import FACTORS
from deepdft.kernels.simd.edge import row_of
from deepdft.kernels.simd.loops import counted
from deepdft.kernels.simd.vectors import INDEX, PANEL, Vectors, address, intrinsic

_SHARE, _INVERSE, _VECTOR = 1, 7, 18
"""Places among an edge's factors: u, 1 / (spacing d), r (`deepdft.kernels.edges.jet_edges`)."""


class _Numbers:
    """What all channels of one edge share, in vector registers."""

    def __init__(
        self, vectors: Vectors, momentum: int, factors: Any, scale: Any, harmonics: Any, apart: Any
    ) -> None:
        builder = vectors.builder
        multiply = builder.fmul

        def factor(place: int) -> Any:
            return vectors.broadcast(builder.gep(factors, [INDEX(place)]))

        self.share, self.inverse = factor(_SHARE), factor(_INVERSE)
        self.vector = [factor(_VECTOR + i) for i in range(3)]
        if momentum == 0:
            return
        self.scale = vectors.broadcast(scale)
        self.part = multiply(self.scale, vectors.constant(1.0 / momentum))
        square = multiply(self.scale, self.scale)
        self.loss = multiply(square, vectors.constant(-float(momentum)))
        self.harmonics = [
            vectors.broadcast(builder.gep(harmonics, [builder.mul(apart, INDEX(m))]))
            for m in range(2 * momentum - 1)
        ]


def _radial(vectors: Vectors, rows: list[Any], share: Any) -> tuple[Any, Any]:
    """Return the interval's polynomial and its slope by u."""
    fma = vectors.multiply_add
    slope, value = rows[5], fma(rows[5], share, rows[4])
    for row in rows[3::-1]:
        slope = fma(slope, share, value)
        value = fma(value, share, row)
    return value, slope


def _message(vectors: Vectors, edge: _Numbers, sent: list[Any], rows: list[Any]) -> list[Any]:
    """Return what is to be added to value and gradient: pairs of factors each."""
    multiply, fma = vectors.builder.fmul, vectors.multiply_add
    value, slope = _radial(vectors, rows, edge.share)
    across = multiply(slope, edge.inverse)
    if len(sent) == 1:
        across = multiply(across, sent[0])
        return [[(value, sent[0])], *([(across, x)] for x in edge.vector)]
    count = len(sent) // 3
    gradient = []
    for axis in range(3):
        total = multiply(edge.harmonics[0], sent[axis * count])
        for m in range(1, count):
            total = fma(edge.harmonics[m], sent[axis * count + m], total)
        gradient.append(total)
    along = multiply(edge.vector[0], gradient[0])
    for axis in (1, 2):
        along = fma(edge.vector[axis], gradient[axis], along)
    angular = multiply(along, edge.part)
    radial = fma(edge.loss, value, across)
    bent, scaled = multiply(radial, angular), multiply(value, edge.scale)
    return [
        [(value, angular)],
        *([(scaled, g), (bent, x)] for g, x in zip(gradient, edge.vector, strict=True)),
    ]


@cache
def _sum_gradients(degree: int) -> Any:
    """Return the intrinsic that adds one panel of messages of a degree with their gradients.

    Arguments: pointer to the six rows of coefficients and their stride; to lowered sender rows, the
    stride between rows and that between numbers; to the sender of each edge; to the values of
    message rows, the numbers between their components, and the receiver of each edge; to the
    factors of the edges; to their scales; to the harmonics of degree l - 1 and the stride between
    functions; first and last + 1 (at least one edge).
    """
    numbers = 3 * (2 * degree - 1) if degree else 1

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        (table, width, senders, sender_stride, apart_sent, atoms, out, apart, receivers, factors,
         scales, harmonics, apart_functions, first, last) = values  # fmt: skip
        vectors = Vectors(builder)
        places = [builder.gep(table, [builder.mul(width, INDEX(r))]) for r in range(6)]
        rows = [[vectors.load(place, j) for place in places] for j in range(2)]
        with counted(builder, first, last) as loop:
            edge = loop.index
            sender = row_of(builder, edge, senders, atoms, sender_stride)
            message = row_of(builder, edge, out, receivers, width)
            shared = _Numbers(
                vectors, degree, builder.gep(factors, [builder.mul(edge, INDEX(FACTORS))]),
                builder.gep(scales, [edge]), builder.gep(harmonics, [edge]), apart_functions,
            )  # fmt: skip
            for j in range(2):
                sent = [
                    vectors.load(builder.gep(sender, [builder.mul(apart_sent, INDEX(n))]), j)
                    for n in range(numbers)
                ]
                for component, pairs in enumerate(_message(vectors, shared, sent, rows[j])):
                    place = builder.gep(message, [builder.mul(apart, INDEX(component))])
                    total = vectors.load(place, j)
                    for x, y in pairs:
                        total = vectors.multiply_add(x, y, total)
                    vectors.store(total, place, j)
        return target.get_dummy_value()

    @intrinsic
    def sum_gradients(
        context: Any, table: Any, width: Any, senders: Any, sender_stride: Any, apart_sent: Any,
        atoms: Any, out: Any, apart: Any, receivers: Any, factors: Any, scales: Any,
        harmonics: Any, apart_functions: Any, first: Any, last: Any,
    ) -> Any:  # fmt: skip
        signature = types.void(
            table, width, senders, sender_stride, apart_sent, atoms, out, apart, receivers, factors,
            scales, harmonics, apart_functions, first, last,
        )  # fmt: skip
        return signature, generate

    return sum_gradients


_sum = by_degree(_sum_gradients)


@compiled
def sum_angular_gradients(
    table: Any, senders: Any, atoms: Any, receivers: Any, factors: Any, scales: Any,
    harmonics: Any, starts: Any, channels: Any, width: int, sender_width: int, apart: int, out: Any,
) -> None:  # fmt: skip
    """Add messages with their gradients to `out`.

    Args:
        table: ((knots - 1) * 6 * width,) coefficients, see `interval_polynomials`.
        senders: (senders * sender_width,) lowered rows, see `deepdft.kernels.angular.lowered`.
        atoms: (edges,) row of each edge's sender.
        receivers, factors, starts: see `deepdft.kernels.edges.jet_edges.JetEdges`.
        scales: (edges,) s.
        harmonics: (functions * stride,) of degrees up to the largest but one, by function and then
            by edge, where stride is the number of scales.
        channels: number of channels of each degree, whole panels.
        width, sender_width: sizes of rows.
        apart: numbers between two components of `out`.
        out: (4 * apart,) messages, by component, receiver and channel.
    """
    stride = len(scales)
    channel = sent = 0
    for momentum in range(len(channels)):
        count = channels[momentum]
        before = max(momentum - 1, 0)
        for panel in range(0, count, PANEL):
            for k in range(len(starts) - 1):
                first, last = starts[k], starts[k + 1]
                if first < last:
                    _sum(
                        momentum, address(table, 6 * k * width + channel + panel), width,
                        address(senders, sent + panel), sender_width, count, address(atoms, 0),
                        address(out, channel + panel), apart, address(receivers, 0),
                        address(factors, 0), address(scales, 0),
                        address(harmonics, before * before * stride), stride, first, last,
                    )  # fmt: skip
        channel += count
        sent += (3 * (2 * momentum - 1) if momentum else 1) * count
