"""Forty numbers at once, in the layout of VASP's CHGCAR: the quick way of `decimal_parser`.

VASP writes five numbers a line, each 18 bytes: ` 0.dddddddddddE+dd` or ` -.dddddddddddE+dd`. As
every position is known beforehand, the arithmetic is the same for all numbers of a batch, without
a branch, and the compiler turns the loops below into vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.io.compilation import compiled
from deepdft.io.wide_integers import load_word

BATCH_LINES = 8
"""Lines in a batch."""
_COLUMNS = 5
_WIDTH = 18
BATCH = BATCH_LINES * _COLUMNS
"""Numbers in a batch."""
BATCH_BYTES = BATCH_LINES * (_COLUMNS * _WIDTH + 1)
"""Bytes in a batch."""

_EXACT_POWERS = np.array([10.0**power for power in range(23)])
_ZEROS = np.uint64(0x3030303030303030)
_HIGH_BITS = np.uint64(0x8080808080808080)
_ABOVE_NINE = np.uint64(0x7676767676767676)
# Bytes of `dddE+dd`, the last of a number: xor with the pattern makes digits small and E zero.
_TAIL_PATTERN = np.uint64(0x0030300045303030)
_TAIL_BITS = np.uint64(0x00808000FF808080)
_TAIL_ABOVE_NINE = np.uint64(0x0076760000767676)


_8, _10, _16, _32, _40, _48, _63 = (np.uint64(n) for n in (8, 10, 16, 32, 40, 48, 63))
_BYTE = np.uint64(0xFF)
_DIGIT = np.uint64(15)
_MINUS_FOR_ZERO = np.uint64(ord("-") ^ ord("0"))
_MINUS_FOR_PLUS = np.uint64(ord("-") ^ ord("+"))
_LEAD = np.uint64(0xFF00FF)
_LEAD_PATTERN = np.uint64(ord(" ") | ord(".") << 16)


@compiled
def parse_batch(
    text: Any, position: int, numbers: Any, first: int, factor: float, words: Any, values: Any
) -> bool:
    """Parse a batch at the start of a line; return whether the text has the layout.

    Args:
        text: uint8, `BATCH_BYTES` from `position` on.
        position: byte behind a line end.
        numbers: float64, receives the numbers, times `factor`, from index `first` on.
        factor: what every number is multiplied by.
        words: (3, BATCH) uint64, for intermediate results.
        values: (2, BATCH) float64, for intermediate results.
    """
    wrong = np.uint64(0)
    for line in range(BATCH_LINES):
        start = position + line * (_COLUMNS * _WIDTH + 1)
        wrong |= np.uint64(text[start + _COLUMNS * _WIDTH] ^ 10)
        for column in range(_COLUMNS):
            index = line * _COLUMNS + column
            words[0, index] = load_word(text, start + column * _WIDTH)
            words[1, index] = load_word(text, start + column * _WIDTH + 3)
            words[2, index] = load_word(text, start + column * _WIDTH + 11)
    for index in range(BATCH):
        lead = words[0, index]
        digits = words[1, index] ^ _ZEROS
        tail = words[2, index] ^ _TAIL_PATTERN
        negative = ((lead >> _8) & _BYTE) ^ np.uint64(48)
        sign = ((tail >> _32) & _BYTE) ^ np.uint64(43)
        wrong |= (lead & _LEAD) ^ _LEAD_PATTERN
        wrong |= negative * (negative ^ _MINUS_FOR_ZERO)
        wrong |= sign * (sign ^ _MINUS_FOR_PLUS)
        wrong |= ((digits + _ABOVE_NINE) | digits) & _HIGH_BITS
        wrong |= ((tail + _TAIL_ABOVE_NINE) | tail) & _TAIL_BITS
        digits = digits * _10 + (digits >> _8)
        whole = (digits & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
        whole += ((digits >> _16) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
        whole = (whole >> _32) * np.uint64(1000)
        whole += (tail & _DIGIT) * np.uint64(100)
        whole += ((tail >> _8) & _DIGIT) * _10 + ((tail >> _16) & _DIGIT)
        power = ((tail >> _40) & _DIGIT) * _10 + ((tail >> _48) & _DIGIT)
        power = np.uint64(11) - (power if sign == np.uint64(0) else np.uint64(0) - power)
        # Powers of ten up to 22 are exact, so the one division below rounds to nearest.
        wrong |= (power >> _63) | ((np.uint64(22) - power) >> _63)
        words[0, index] = power
        whole = whole if negative == np.uint64(0) else np.uint64(0) - whole
        values[0, index] = np.float64(np.int64(whole))
    if wrong != np.uint64(0):
        return False
    for index in range(BATCH):
        values[1, index] = _EXACT_POWERS[words[0, index]]
    for index in range(BATCH):
        numbers[first + index] = values[0, index] / values[1, index] * factor
    return True
