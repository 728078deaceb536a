"""exp of negative numbers from arithmetic alone, so that loops over it become vector instructions.

``exp(x) = 2^n exp(r)`` with n the integer nearest to ``x / log(2)``, and exp(r) from its power
series, cut off below the precision of the type.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types

from deepdft.compilation import FUSED, inner
from deepdft.kernels.simd.vectors import intrinsic

_LOG2_E = 1.4426950408889634
_LARGEST_32, _LARGEST_64 = 87.0, 700.0
"""exp of minus these is still a normal number."""


@intrinsic
def _bits(context: Any, number: Any) -> Any:
    """The bits of a floating number as an integer."""
    single = number == types.float32
    returned = types.int32 if single else types.int64

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(32 if single else 64))

    return returned(number), generate


@intrinsic
def _from_bits(context: Any, bits: Any) -> Any:
    """The floating number with the bits of an integer."""
    single = bits == types.int32
    returned = types.float32 if single else types.float64

    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType() if single else ir.DoubleType())

    return returned(bits), generate


def _exponential(x: Any) -> Any:
    raise NotImplementedError("compiled code only")


def _single(x: Any) -> Any:
    f = np.float32
    x = max(x, f(-_LARGEST_32))
    # 1.5 * 2^23: adding it leaves the nearest integer in the low bits.
    shifted = x * f(_LOG2_E) + f(12582912.0)
    n = shifted - f(12582912.0)
    # log(2) in two parts, of which the first has few bits.
    r = (x - n * f(0.693359375)) + n * f(2.12194440e-4)
    p = f(1 / 5040)
    p = p * r + f(1 / 720)
    p = p * r + f(1 / 120)
    p = p * r + f(1 / 24)
    p = p * r + f(1 / 6)
    p = p * r + f(1 / 2)
    p = (p * r) * r + r
    p = p + f(1.0)
    return _from_bits(np.int32(_bits(p) + np.int32(_bits(shifted) << np.int32(23))))


def _double(x: Any) -> Any:
    x = max(x, -_LARGEST_64)
    shifted = x * _LOG2_E + 6755399441055744.0  # 1.5 * 2^52
    n = shifted - 6755399441055744.0
    r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10
    p = 1 / 479001600
    p = p * r + 1 / 39916800
    p = p * r + 1 / 3628800
    p = p * r + 1 / 362880
    p = p * r + 1 / 40320
    p = p * r + 1 / 5040
    p = p * r + 1 / 720
    p = p * r + 1 / 120
    p = p * r + 1 / 24
    p = p * r + 1 / 6
    p = p * r + 1 / 2
    p = (p * r) * r + r
    p = p + 1.0
    return _from_bits(_bits(p) + (_bits(shifted) << np.int64(52)))


@extending.overload(_exponential, inline="always")
def _choose(x: Any) -> Any:
    return _single if x == types.float32 else _double


@inner(fast=FUSED, counts_arrays=False)
def fill_exponentials(factor: Any, squares: Any, out: Any) -> None:
    """Set ``out = exp(factor * squares)``, of the type of `squares`; no product positive.

    What is smaller than a normal number comes out as about the smallest normal number.
    """
    for t in range(out.shape[0]):
        out[t] = _exponential(factor * squares[t])
