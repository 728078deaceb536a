"""Integer operations of the processor that neither Python nor numba offers, and powers of ten.

Decimal digits and binary fractions are converted into each other by one multiplication with a
power of ten of 128 bits (the idea of Lemire, "Number parsing at a gigabyte per second", Software:
Practice and Experience 51, 1700, 2021). All products are truncated, so the true product lies
between the one computed and that plus two units of its second word; whoever cannot decide within
that asks Python.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

SMALLEST_POWER = -400
LARGEST_POWER = 400


def _tabulate() -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.int64]]:
    """Return the two words of 10**q, truncated to 128 significant bits, and the binary exponents.

    ``10**q`` lies in ``[T, T + 1) * 2**exponent`` with ``T = high * 2**64 + low >= 2**127``.
    """
    high, low, exponents = [], [], []
    for power in range(SMALLEST_POWER, LARGEST_POWER + 1):
        if power >= 0:
            exponent = (10**power).bit_length() - 128
            digits = 10**power >> exponent if exponent >= 0 else 10**power << -exponent
        else:
            exponent = -(10**-power).bit_length() - 127
            digits = (1 << -exponent) // 10**-power
            if digits >> 128:  # only if 10**-power were a power of two
                digits, exponent = digits >> 1, exponent + 1
        high.append(digits >> 64)
        low.append(digits & 0xFFFFFFFFFFFFFFFF)
        exponents.append(exponent)
    return (
        np.array(high, dtype=np.uint64),
        np.array(low, dtype=np.uint64),
        np.array(exponents, dtype=np.int64),
    )


def _instruction(generator: Callable[..., Any]) -> Any:
    """Make an operation of compiled code from a function that generates its instructions."""
    return intrinsic(generator)


POWER_HIGH, POWER_LOW, POWER_EXPONENT = _tabulate()


@_instruction
def high_product(typing_context: Any, left: Any, right: Any) -> Any:
    """Upper 64 bits of the 128-bit product of two unsigned 64-bit integers."""
    signature = types.uint64(types.uint64, types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(builder.zext(arguments[0], wide), builder.zext(arguments[1], wide))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return signature, generate


@_instruction
def leading_zeros(typing_context: Any, value: Any) -> Any:
    """Number of zero bits above the highest set bit of an unsigned 64-bit integer (not zero)."""
    signature = types.uint64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return signature, generate


@_instruction
def trailing_zeros(typing_context: Any, value: Any) -> Any:
    """Number of zero bits below the lowest set bit of an unsigned 64-bit integer (not zero)."""
    signature = types.uint64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return signature, generate


@_instruction
def signed(typing_context: Any, value: Any) -> Any:
    """An unsigned 64-bit integer as a signed one (numba would mix the two to a float)."""
    signature = types.int64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return arguments[0]

    return signature, generate


@_instruction
def bits_to_float(typing_context: Any, value: Any) -> Any:
    """Reinterpret the 64 bits of an unsigned integer as a float64."""
    signature = types.float64(types.uint64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return signature, generate


@_instruction
def float_to_bits(typing_context: Any, value: Any) -> Any:
    """Reinterpret a float64 as an unsigned integer of 64 bits."""
    signature = types.uint64(types.float64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return signature, generate


@_instruction
def load_word(typing_context: Any, array: Any, index: Any) -> Any:
    """Read eight bytes of an uint8 array from `index` on as a little-endian unsigned integer."""
    signature = types.uint64(array, types.intp)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [arguments[1]])
        word = builder.load(builder.bitcast(address, ir.IntType(64).as_pointer()), align=1)
        return word if np.little_endian else builder.bswap(word)

    return signature, generate
