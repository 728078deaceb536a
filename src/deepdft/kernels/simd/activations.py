"""softplus and sigmoid of vectors of float32 from arithmetic alone.

Each function here writes the instructions for one vector (see `deepdft.kernels.simd.vectors`). The
polynomials are minimax fits (Remez exchange in float64), of relative error 2e-9 for the exponential
and 3e-8 for the logarithm; with rounding, both functions are within 3e-7 of the exact value,
relative, which is the accuracy of float32.
"""

from __future__ import annotations

from typing import Any

from deepdft.kernels.simd.vectors import Vectors

_LOG2_E = 1.4426950408889634
_ROUND = 12582912.0  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_LN2_HIGH = 0.693359375  # few bits, so that its products with small integers are exact
_LN2_LOW = -2.12194440e-4
_SMALLEST = -87.0  # exp of it is still a normal number
_EXPONENTIAL = (
    0.0013836742032443563, 0.008374898363501087, 0.04166823180136746, 0.16666419190340473,
    0.4999999203231938, 1.000000036539118, 1.0000000005585945,
)  # fmt: skip
"""exp(r) for |r| <= log(2) / 2, the highest power first."""
_LOGARITHM = (
    0.005384061951190233, -0.03011096455156803, 0.07921073585748672, -0.1374662220478058,
    0.19145116209983826, -0.24852946400642395, 0.33320343494415283, -0.49999552965164185, 1.0,
)  # fmt: skip
"""log(1 + u) / u for 0 <= u <= 1, the highest power first."""


def _polynomial(vectors: Vectors, coefficients: tuple[float, ...], x: Any) -> Any:
    result = vectors.constant(coefficients[0])
    for coefficient in coefficients[1:]:
        result = vectors.multiply_add(result, x, vectors.constant(coefficient))
    return result


def _exp_of_negative(vectors: Vectors, y: Any) -> Any:
    """exp(y) for y <= 0."""
    builder = vectors.builder
    smallest = vectors.constant(_SMALLEST)
    # Unordered: what is not a number stays so.
    y = builder.select(builder.fcmp_unordered(">", y, smallest), y, smallest)
    shifted = vectors.multiply_add(y, vectors.constant(_LOG2_E), vectors.constant(_ROUND))
    n = builder.fsub(shifted, vectors.constant(_ROUND))
    r = vectors.multiply_add(n, vectors.constant(-_LN2_HIGH), y)
    r = vectors.multiply_add(n, vectors.constant(-_LN2_LOW), r)
    # 2^n: the low bits of `shifted` moved to the exponent; the rest overflows away.
    bits = builder.shl(vectors.bits(shifted), vectors.constant_bits(23))
    scale = vectors.from_bits(builder.add(bits, vectors.constant_bits(0x3F800000)))
    return builder.fmul(_polynomial(vectors, _EXPONENTIAL, r), scale)


def _exp_of_minus_size(vectors: Vectors, x: Any) -> Any:
    negative = vectors.builder.or_(vectors.bits(x), vectors.constant_bits(0x80000000))
    return _exp_of_negative(vectors, vectors.from_bits(negative))


def softplus(vectors: Vectors, x: Any) -> Any:
    """log(1 + exp(x))."""
    builder = vectors.builder
    u = _exp_of_minus_size(vectors, x)
    size = vectors.from_bits(builder.and_(vectors.bits(x), vectors.constant_bits(0x7FFFFFFF)))
    # Half the sum is max(x, 0), and not a number where x is not.
    positive = builder.fmul(vectors.constant(0.5), builder.fadd(x, size))
    return vectors.multiply_add(u, _polynomial(vectors, _LOGARITHM, u), positive)


def sigmoid(vectors: Vectors, x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    builder = vectors.builder
    one = vectors.constant(1.0)
    u = _exp_of_minus_size(vectors, x)
    s = builder.fdiv(one, builder.fadd(one, u))
    return builder.select(
        builder.fcmp_unordered(">=", x, vectors.constant(0.0)), s, builder.fmul(u, s)
    )


def silu(vectors: Vectors, x: Any) -> Any:
    """x / (1 + exp(-x))."""
    return vectors.builder.fmul(x, sigmoid(vectors, x))


def identity(vectors: Vectors, x: Any) -> Any:
    """x itself."""
    return x
