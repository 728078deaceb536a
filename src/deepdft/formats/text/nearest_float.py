"""An integer times a power of ten, rounded to the nearest float64: compiled."""

from __future__ import annotations

import numpy as np

from deepdft.compilation import inner
from deepdft.formats.text.wide_integers import (
    POWER_EXPONENT,
    POWER_HIGH,
    POWER_LOW,
    SMALLEST_POWER,
    bits_to_float,
    high_product,
    leading_zeros,
)

EXACT_POWERS = np.array([10.0**power for power in range(23)])
"""The powers of ten that float64 holds exactly."""


@inner(inline=True)
def nearest_float(digits: np.uint64, power: int) -> tuple[bool, float]:
    """Return (True, digits * 10**power rounded to nearest), or (False, 0) if that is undecided."""
    if digits == np.uint64(0):
        return True, 0.0
    if digits <= np.uint64(9007199254740992) and -22 <= power <= 22:
        # Both factors are exact, so the one rounding is the right one.
        if power < 0:
            return True, np.float64(digits) / EXACT_POWERS[-power]
        return True, np.float64(digits) * EXACT_POWERS[power]
    if power < -330 or power > 300:
        return False, 0.0
    shift = leading_zeros(digits)
    normal = digits << shift
    high = POWER_HIGH[power - SMALLEST_POWER]
    upper = high_product(normal, high)
    lower = normal * high
    carry = high_product(normal, POWER_LOW[power - SMALLEST_POWER])
    lower = lower + carry
    if lower < carry:
        upper = upper + np.uint64(1)
    # The true product lies in [upper:lower, upper:lower + 2]; exponent of the lowest bit of upper:
    exponent = POWER_EXPONENT[power - SMALLEST_POWER] - np.int64(shift) + 128
    if upper >> np.uint64(63) == np.uint64(0):
        upper = (upper << np.uint64(1)) | (lower >> np.uint64(63))
        lower = lower << np.uint64(1)
        exponent -= 1
    rest = upper & np.uint64(0x3FF)
    if (rest == np.uint64(0) or rest == np.uint64(0x3FF)) and (
        lower < np.uint64(8) or lower > np.uint64(0xFFFFFFFFFFFFFFF0)
    ):
        return False, 0.0
    mantissa = upper >> np.uint64(11)
    if upper & np.uint64(0x400):
        mantissa += np.uint64(1)
        if mantissa >> np.uint64(53):
            mantissa >>= np.uint64(1)
            exponent += 1
    biased = exponent + 11 + 52 + 1023
    if biased <= 0 or biased >= 2047:
        return False, 0.0
    field = np.uint64(biased) << np.uint64(52)
    return True, bits_to_float(field | (mantissa & np.uint64(0xFFFFFFFFFFFFF)))
