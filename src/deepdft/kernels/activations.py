"""softplus and sigmoid in float32 from arithmetic alone, so that loops over them vectorise.

Polynomials are minimax fits (Remez exchange in float64) of relative error 2e-9 for the exponential
and 3e-8 for the logarithm; with rounding, both functions are within 3e-7 of the exact value,
relative, which is the accuracy of float32.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from deepdft.kernels.vectors import intrinsic

# No reassociation: rounding to an integer by adding a large number relies on the order of sums.
_FAST = {"contract", "nsz", "arcp"}
_f = np.float32

_LOG2_E = _f(1.4426950408889634)
_ROUND = _f(12582912.0)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
_LN2_HIGH = _f(0.693359375)  # few bits, so that its products with small integers are exact
_LN2_LOW = _f(-2.12194440e-4)
_SMALLEST = _f(-87.0)  # exp is still a normal number
_E0, _E1, _E2 = _f(1.0000000005585945), _f(1.000000036539118), _f(0.4999999203231938)
_E3, _E4 = _f(0.16666419190340473), _f(0.04166823180136746)
_E5, _E6 = _f(0.008374898363501087), _f(0.0013836742032443563)
_L0, _L1, _L2 = _f(1.0), _f(-0.49999552965164185), _f(0.33320343494415283)
_L3, _L4, _L5 = _f(-0.24852946400642395), _f(0.19145116209983826), _f(-0.1374662220478058)
_L6, _L7, _L8 = _f(0.07921073585748672), _f(-0.03011096455156803), _f(0.005384061951190233)


@intrinsic
def _bits(context: Any, number: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic
def _number(context: Any, bits: Any) -> Any:
    def generate(target: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(values[0], ir.FloatType())

    return types.float32(types.int32), generate


@numba.njit(nogil=True, fastmath=_FAST, error_model="numpy")
def _exp_of_negative(y: Any) -> Any:
    """exp(y) for y <= 0."""
    y = max(y, _SMALLEST)
    shifted = y * _LOG2_E + _ROUND
    n = shifted - _ROUND
    r = (y - n * _LN2_HIGH) - n * _LN2_LOW
    p = ((((((_E6 * r + _E5) * r + _E4) * r + _E3) * r + _E2) * r + _E1) * r) + _E0
    # 2^n: the low bits of `shifted` moved to the exponent; the rest overflows away.
    scale = _number(np.int32(np.int32(_bits(shifted) << np.int32(23)) + np.int32(0x3F800000)))
    return p * scale


@numba.njit(nogil=True, fastmath=_FAST, error_model="numpy")
def softplus(x: Any) -> Any:
    """log(1 + exp(x)) of a float32."""
    u = _exp_of_negative(-abs(x))
    q = _L8 * u + _L7
    q = (((q * u + _L6) * u + _L5) * u + _L4) * u + _L3
    q = ((q * u + _L2) * u + _L1) * u + _L0
    # The half sum is max(x, 0), and not a number where x is not.
    return _f(0.5) * (x + abs(x)) + u * q


@numba.njit(nogil=True, fastmath=_FAST, error_model="numpy")
def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a float32."""
    u = _exp_of_negative(-abs(x))
    s = _f(1.0) / (_f(1.0) + u)
    return s if x >= _f(0.0) else u * s
