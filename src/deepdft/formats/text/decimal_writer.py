"""float64 to decimal text of fixed width, compiled: the inner loop of every text writer.

Every number is printed with a given count of significant digits and an exponent of two digits. The
digits are those of the exact binary value, rounded to nearest, as C's `%.10E` prints them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepdft.compilation import compiled, inner
from deepdft.errors import ConfigurationError
from deepdft.formats.text.wide_integers import (
    POWER_EXPONENT,
    POWER_HIGH,
    POWER_LOW,
    SMALLEST_POWER,
    float_to_bits,
    high_product,
    signed,
)

FINISHED = 0
IMPOSSIBLE = 1

SMALLEST = 1e-98
"""Numbers nearer to zero are printed as zero: their exponents would need three digits."""
LARGEST = 1e98
"""No number of this size or above is printed."""
_BLOCK = 1 << 15
_LIMITS = np.array([10**power for power in range(19)], dtype=np.uint64)


@inner(inline=True)
def _scaled(bits: np.uint64, power: int) -> tuple[np.uint64, np.uint64]:
    """Return a float, given as bits, times 10**power: integer part and 64 bits of fraction."""
    exponent = signed((bits >> np.uint64(52)) & np.uint64(0x7FF)) - 1023 - 63
    mantissa = ((bits | np.uint64(1 << 52)) & np.uint64(0x1FFFFFFFFFFFFF)) << np.uint64(11)
    index = power - SMALLEST_POWER
    upper = high_product(mantissa, POWER_HIGH[index])
    lower = mantissa * POWER_HIGH[index]
    carry = high_product(mantissa, POWER_LOW[index])
    lower = lower + carry
    if lower < carry:
        upper = upper + np.uint64(1)
    shift = np.uint64(-(exponent + POWER_EXPONENT[index] + 128))
    whole = upper >> shift
    fraction = (upper << (np.uint64(64) - shift)) | (lower >> shift)
    return whole, fraction


@inner(inline=True)
def _rounded(value: float, digits: int) -> tuple[np.uint64, int, bool]:
    """Return (digits as an integer, power of ten of the first digit, whether it is certain)."""
    bits = float_to_bits(value)
    binary = signed((bits >> np.uint64(52)) & np.uint64(0x7FF)) - 1023
    # floor(binary * log10(2)) is the power of the first digit or one less.
    power = (binary * 1292913986) >> 32
    whole, fraction = _scaled(bits, digits - 1 - power)
    if whole >= _LIMITS[digits]:
        power += 1
        whole, fraction = _scaled(bits, digits - 1 - power)
    half = np.uint64(1 << 63)
    certain = bool(fraction + np.uint64(8) - half > np.uint64(16))
    if fraction >= half:
        whole += np.uint64(1)
        if whole == _LIMITS[digits]:
            whole = _LIMITS[digits - 1]
            power += 1
    return whole, power, certain


@inner(inline=True)
def _put_digits(text: np.ndarray, first: int, last: int, digits: np.uint64) -> np.uint64:
    """Write the lowest digits to text[first..last]; return what is left."""
    for position in range(last, first - 1, -1):
        rest = digits // np.uint64(10)
        text[position] = np.uint8(48 + (digits - rest * np.uint64(10)))
        digits = rest
    return digits


@inner(inline=True)
def _put_number(
    text: np.ndarray, start: int, width: int, value: float, digits: int, fortran: bool
) -> bool:
    """Print one number right-aligned in `width` bytes; return whether the digits are certain."""
    size = abs(value)
    whole, power, certain = np.uint64(0), 0, True
    if size >= SMALLEST:
        whole, power, certain = _rounded(size, digits)
        power += 1 if fortran else 0
    lead = 45 if value <= -SMALLEST else (48 if fortran else 32)
    end = start + width
    exponent = abs(power)
    text[end - 1] = 48 + exponent % 10
    text[end - 2] = 48 + exponent // 10
    text[end - 3] = 45 if power < 0 else 43
    text[end - 4] = 69
    if fortran:  # 0.ddd or -.ddd
        _put_digits(text, end - 4 - digits, end - 5, whole)
        text[end - 5 - digits] = 46
    else:  # " d.ddd" or "-d.ddd"
        rest = _put_digits(text, end - 3 - digits, end - 5, whole)
        text[end - 4 - digits] = 46
        text[end - 5 - digits] = np.uint8(48 + rest)
    text[end - 6 - digits] = lead
    for blank in range(start, end - 6 - digits):
        text[blank] = 32
    return certain


@compiled
def format_numbers(
    numbers: np.ndarray,
    factor: float,
    text: np.ndarray,
    undecided: np.ndarray,
    digits: int,
    width: int,
    fortran: bool,
    columns: int,
    row: int,
    written: int,
) -> tuple[int, int, int, int]:
    """Print numbers, each times `factor`; see `NumberLayout` for the layout.

    Args:
        numbers: float64.
        factor: what every number is multiplied by.
        text: uint8, at least (width + 1) bytes a number.
        undecided: (n, 2) int64; receives (index of number, position in text) of numbers whose last
            digit the caller must settle.
        written: numbers already in the current row.

    Returns:
        (bytes of text, count of undecided numbers, index of the first impossible number, status).
    """
    position = 0
    doubtful = 0
    column = written % columns
    for index in range(len(numbers)):
        value = numbers[index] * factor
        if not abs(value) < LARGEST:
            return position, doubtful, index, IMPOSSIBLE
        if not _put_number(text, position, width, value, digits, fortran):
            undecided[doubtful, 0] = index
            undecided[doubtful, 1] = position
            doubtful += 1
        position += width
        column += 1
        written += 1
        if written == row or column == columns:
            text[position] = 10
            position += 1
            column = 0
            written = 0 if written == row else written
    return position, doubtful, len(numbers), FINISHED


@dataclass(frozen=True)
class NumberLayout:
    """How a format prints its numbers.

    Attributes:
        digits: significant digits, 2 to 17.
        width: bytes a number, blanks in front included; at least digits + 7.
        columns: numbers a line.
        row: numbers after which a new line begins in any case; 0 for never.
        fortran: `0.152E+03` and `-.152E+03` as Fortran prints, else `1.52E+02`.
    """

    digits: int
    width: int
    columns: int
    row: int = 0
    fortran: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.digits <= 17:
            raise ConfigurationError(
                f"Numbers are printed with 2 to 17 significant digits, not {self.digits}."
            )


class NumberWriter:
    """Prints numbers into a binary file, in pieces of any size.

    Args:
        file: binary file open for writing.
        layout: how to print.
        factor: what every number is multiplied by.

    Raises:
        ConfigurationError: while writing, for a number that is not finite or above 1e98.
    """

    def __init__(self, file: BinaryIO, layout: NumberLayout, factor: float = 1.0) -> None:
        self._file = file
        self._layout = layout
        self._factor = factor
        self._written = 0
        self._text = np.empty(_BLOCK * (layout.width + 1), dtype=np.uint8)
        self._undecided = np.empty((_BLOCK, 2), dtype=np.int64)

    def write(self, numbers: NDArray[np.floating[Any]]) -> None:
        """Print a one-dimensional array."""
        for start in range(0, len(numbers), _BLOCK):
            block = np.ascontiguousarray(numbers[start : start + _BLOCK], dtype=np.float64)
            self._write_block(block)

    def finish(self) -> None:
        """End the last line."""
        if self._written % self._layout.columns:
            self._file.write(b"\n")
        self._written = 0

    def _write_block(self, block: NDArray[np.float64]) -> None:
        layout = self._layout
        length, doubtful, index, status = format_numbers(
            block,
            self._factor,
            self._text,
            self._undecided,
            layout.digits,
            layout.width,
            layout.fortran,
            layout.columns,
            layout.row,
            self._written,
        )
        if status == IMPOSSIBLE:
            raise ConfigurationError(f"The value {block[index]} of a density cannot be written.")
        for number, position in self._undecided[:doubtful].tolist():
            exact = print_number(float(block[number]) * self._factor, layout)
            self._text[position : position + layout.width] = np.frombuffer(exact, dtype=np.uint8)
        self._file.write(self._text[:length].data)
        self._written += len(block)
        if layout.row:
            self._written %= layout.row


def print_number(value: float, layout: NumberLayout) -> bytes:
    """Print one number by Python's own, exact conversion: the reference for the compiled one."""
    if abs(value) < SMALLEST:
        value = 0.0
    mantissa, _, exponent = f"{value:.{layout.digits - 1}E}".partition("E")
    power = int(exponent)
    if layout.fortran:
        power += 1 if value else 0
        sign, unsigned = ("-", mantissa[1:]) if value < 0 else ("0", mantissa)
        mantissa = f"{sign}.{unsigned.replace('.', '')}"
    return f"{mantissa}E{power:+03d}".rjust(layout.width).encode()
