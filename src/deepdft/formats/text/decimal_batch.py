"""Many numbers at once, in the layout of VASP's CHGCAR: the quick way of `decimal_parser`.

VASP writes five numbers a line, each 18 bytes: ` 0.dddddddddddE+dd` or ` -.dddddddddddE+dd`. As
every position is known beforehand, the arithmetic is the same for all numbers of a batch, without
a branch, and the compiler turns the loops below into vector instructions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import compiled
from deepdft.formats.text.nearest_float import EXACT_POWERS, nearest_float
from deepdft.formats.text.wide_integers import load_word, signed

BATCH_LINES = 32
"""Lines in a batch."""
_COLUMNS = 5
_WIDTH = 18
BATCH = BATCH_LINES * _COLUMNS
"""Numbers in a batch."""
BATCH_BYTES = BATCH_LINES * (_COLUMNS * _WIDTH + 1)
"""Bytes in a batch."""

_ZEROS = np.uint64(0x3030303030303030)
_HIGH_BITS = np.uint64(0x8080808080808080)
_ABOVE_NINE = np.uint64(0x7676767676767676)
# Bytes of `dddE+dd`, the last of a number: xor with the pattern makes digits small, E and + zero.
_TAIL_PATTERN = np.uint64(0x0030302B45303030)
_TAIL_BITS = np.uint64(0x00808000FF808080)
_TAIL_ABOVE_NINE = np.uint64(0x0076760000767676)


_0, _1, _8, _10, _11, _16, _22, _32, _33, _40, _63, _1000 = (
    np.uint64(n) for n in (0, 1, 8, 10, 11, 16, 22, 32, 33, 40, 63, 1000)
)
_BYTE = np.uint64(0xFF)
_DIGIT = np.uint64(15)
# The bytes ` 0.` or ` -.` that a number begins with, and what the minus sign changes.
_LEAD = np.uint64(0xFFFFFF)
_LEAD_PATTERN = np.uint64(int.from_bytes(b" 0.", "little"))
_MINUS_FOR_ZERO = np.uint64((ord("-") ^ ord("0")) << 8)
_SIGN = np.uint64(0xFF << 32)
_MINUS_FOR_PLUS = np.uint64((ord("-") ^ ord("+")) << 32)


@compiled
def _settle_large_powers(words: Any, values: Any) -> bool:
    """Divide the numbers whose powers of ten are not exact; return whether that was decided."""
    for index in range(words.shape[1]):
        if words[0, index] > _22:
            digits = np.uint64(abs(values[0, index]))
            decided, size = nearest_float(digits, -signed(words[0, index]))
            if not decided:
                return False
            values[0, index] = -size if values[0, index] < 0 else size
            words[0, index] = _0
    return True


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
        index = line * _COLUMNS
        for column in range(_COLUMNS):
            words[0, index + column] = load_word(text, start + column * _WIDTH)
        for column in range(_COLUMNS):
            words[1, index + column] = load_word(text, start + column * _WIDTH + 3)
        for column in range(_COLUMNS):
            words[2, index + column] = load_word(text, start + column * _WIDTH + 11)
    digits_seen, tails_seen, powers_seen = np.uint64(0), np.uint64(0), np.uint64(0)
    for index in range(BATCH):
        lead = (words[0, index] ^ _LEAD_PATTERN) & _LEAD
        digits = words[1, index] ^ _ZEROS
        tail = words[2, index] ^ _TAIL_PATTERN
        digits_seen |= (digits + _ABOVE_NINE) | digits
        tails_seen |= (tail + _TAIL_ABOVE_NINE) | tail
        # All ones where the number or the exponent is negative: (x ^ mask) - mask is then -x.
        negative = _0 - ((lead >> _8) & _1)
        wrong |= lead ^ (negative & _MINUS_FOR_ZERO)
        small = _0 - ((tail >> _33) & _1)
        wrong |= (tail & _SIGN) ^ (small & _MINUS_FOR_PLUS)
        digits = digits * _10 + (digits >> _8)
        whole = (digits & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
        whole += ((digits >> _16) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
        pairs = tail * _10 + (tail >> _8)
        whole = (whole >> _32) * _1000 + (pairs & _BYTE) * _10 + ((tail >> _16) & _DIGIT)
        power = (((pairs >> _40) & _BYTE) ^ small) - small
        power = _11 - power
        powers_seen |= power | (_22 - power)
        words[0, index] = power
        values[0, index] = np.float64(np.int64((whole ^ negative) - negative))
    wrong |= (digits_seen & _HIGH_BITS) | (tails_seen & _TAIL_BITS)
    if wrong != _0 or (powers_seen >> _63 != _0 and not _settle_large_powers(words, values)):
        return False
    # Powers of ten up to 22 are exact, so the one division rounds to nearest.
    count = words.shape[1]  # a loop of a known count would be unrolled instead of vectorised
    for index in range(count):
        values[1, index] = EXACT_POWERS[words[0, index]]
    target = numbers[first : first + count]
    for index in range(count):
        target[index] = values[0, index] / values[1, index] * factor
    return True
