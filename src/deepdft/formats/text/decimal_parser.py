"""Decimal text to float64, compiled: the inner loop of every text reader.

Accepted is what Fortran and C programs write: `0.15E+03`, `-.76010E+01`, `1.2D-5`, `1.2-101`
(Fortran drops the E of three-digit exponents), `.5`, `3.`, `12`. The result is the float64 nearest
to the decimal number, as `float()` gives it; the rare number that 128-bit arithmetic cannot decide
is left to the caller.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import compiled, inner
from deepdft.formats.text.decimal_batch import BATCH, BATCH_BYTES, BATCH_LINES, parse_batch
from deepdft.formats.text.nearest_float import nearest_float
from deepdft.formats.text.wide_integers import load_word, signed, trailing_zeros

FINISHED = 0
"""Everything was parsed: the text ended or as many numbers as asked for were found."""
UNDECIDED = 1
"""The token at the position returned is left to the caller: 128 bits do not decide it."""

PADDING = 32
"""Readable bytes that a buffer must have behind the end of the text."""

_INTEGER_POWERS = np.array([10**power for power in range(9)], dtype=np.uint64)
_FULL = np.array([10 ** (19 - length) for length in range(9)], dtype=np.uint64)
"""From here on an integer of 64 bits takes no further digits."""
_ZEROS = np.uint64(0x3030303030303030)
_HIGH_BITS = np.uint64(0x8080808080808080)
_ABOVE_NINE = np.uint64(0x7676767676767676)
"""Added to a byte from 0 to 127, sets the highest bit if the byte is above 9."""
_COUNTED_AT_ONCE = 128


@inner(inline=True)
def _digit_run(word: np.uint64) -> int:
    """Number of decimal digits (0 to 8) that lead eight bytes, each xor the code of "0"."""
    others = ((word + _ABOVE_NINE) | word) & _HIGH_BITS
    return 8 if others == np.uint64(0) else signed(trailing_zeros(others) >> np.uint64(3))


@inner(inline=True)
def _digits_value(word: np.uint64) -> np.uint64:
    """Value of eight decimal digits (0 to 9, not ASCII), the first in the lowest byte."""
    word = word * np.uint64(10) + (word >> np.uint64(8))
    low = (word & np.uint64(0x000000FF000000FF)) * np.uint64(0x000F424000000064)
    high = ((word >> np.uint64(16)) & np.uint64(0x000000FF000000FF)) * np.uint64(0x0000271000000001)
    return (low + high) >> np.uint64(32)


@inner(inline=True)
def _run_value(word: np.uint64, length: int) -> np.uint64:
    """Value of the first `length` of eight decimal digits: the others are shifted out."""
    if length == 8:
        return _digits_value(word)
    return _digits_value((word << np.uint64(56 - 8 * length)) << np.uint64(8))


@inner(inline=True)
def _exponent(text: Any, position: int) -> tuple[int, int]:
    """Parse an exponent: (position behind it, value), or (-1, 0) if it is not well formed."""
    letter = text[position] | np.uint8(32)
    if letter == 101 or letter == 100 or letter == 113:  # e, d, q
        position += 1
    sign = text[position]
    if sign == 45 or sign == 43:
        position += 1
    elif letter < 97:  # Fortran omits the letter only before a sign
        return -1, 0
    word = load_word(text, position) ^ _ZEROS
    length = _digit_run(word)
    if length == 0 or length > 4:
        return -1, 0
    value = signed(_run_value(word, length))
    return position + length, -value if sign == 45 else value


@inner(inline=True)
def _number(text: Any, position: int) -> tuple[int, float, int]:
    """Parse one token: (position behind it, value, status)."""
    start = position
    negative = text[position] == 45
    if negative or text[position] == 43:
        position += 1
    word = load_word(text, position) ^ _ZEROS
    length = _digit_run(word)
    whole = length
    digits = _run_value(word, length)
    position += length
    fraction = 0
    overflow = False
    if text[position] == 46:
        position += 1
        while True:
            word = load_word(text, position) ^ _ZEROS
            length = _digit_run(word)
            overflow |= digits >= _FULL[length]
            digits = digits * _INTEGER_POWERS[length] + _run_value(word, length)
            position += length
            fraction += length
            if length < 8:
                break
    power = -fraction
    if text[position] > 32:
        position, exponent = _exponent(text, position)
        power += exponent
    # Wrong or merely unusual: the caller looks closer.
    if position < 0 or text[position] > 32 or whole + fraction == 0 or overflow:
        return start, 0.0, UNDECIDED
    decided, value = nearest_float(digits, power)
    if not decided:
        return start, 0.0, UNDECIDED
    return position, -value if negative else value, FINISHED


@compiled
def parse_numbers(
    text: Any, start: int, stop: int, numbers: Any, limit: int, factor: float
) -> tuple[int, int, int, int]:
    """Parse numbers separated by white space into `numbers`, each times `factor`.

    Args:
        text: uint8 array with white space at `stop`, and `PADDING` bytes more behind.
        start: first byte.
        stop: byte behind the last.
        numbers: float64 array of at least `limit` numbers.
        limit: how many numbers to parse at most.
        factor: what every number is multiplied by.

    Returns:
        (position behind the last number, count of numbers, count of line ends passed, status).
    """
    words = np.empty((3, BATCH), dtype=np.uint64)
    values = np.empty((2, BATCH))
    position = start
    count = 0
    lines = 0
    next_batch = start
    while count < limit:
        while text[position] <= 32 and position < stop:
            lines += text[position] == 10
            position += 1
            if (
                text[position - 1] == 10
                and position >= next_batch
                and position + BATCH_BYTES <= stop
                and count + BATCH <= limit
            ):
                if parse_batch(text, position, numbers, count, factor, words, values):
                    count += BATCH
                    position += BATCH_BYTES - 1  # the line end is yet to be passed
                    lines += BATCH_LINES - 1
                else:
                    next_batch = position + 8 * BATCH_BYTES
        if position >= stop:
            return stop, count, lines, FINISHED
        if count == limit:
            break
        position, value, status = _number(text, position)
        if status != FINISHED:
            return position, count, lines, status
        numbers[count] = value * factor
        count += 1
    return position, count, lines, FINISHED


@compiled
def count_tokens(text: Any, start: int, stop: int) -> int:
    """Count the tokens between white space in ``text[start:stop]``."""
    count = 1 if stop > start and text[start] > 32 else 0
    before = text[start : stop - 1]
    behind = text[start + 1 : stop]
    blocks = len(behind) // _COUNTED_AT_ONCE
    for block in range(blocks):
        some = np.uint8(0)  # so narrow that one instruction counts in many bytes
        for index in range(_COUNTED_AT_ONCE):
            place = block * _COUNTED_AT_ONCE + index
            some = np.uint8(some + np.uint8((behind[place] > 32) & (before[place] <= 32)))
        count += signed(np.uint64(some))
    for place in range(blocks * _COUNTED_AT_ONCE, len(behind)):
        count += (behind[place] > 32) & (before[place] <= 32)
    return count
