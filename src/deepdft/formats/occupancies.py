"""VASP's one-centre (augmentation) occupancies as the text of a CHGCAR."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def occupancies_text(rows: Iterable[Sequence[float]]) -> str:
    """Return the lines of a CHGCAR for the occupancies of each atom, five numbers a line."""
    lines = []
    for atom, row in enumerate(rows, start=1):
        numbers = [_fortran(float(x)) for x in row]
        lines.append(f"augmentation occupancies{atom:4d}{len(numbers):4d}")
        lines += ["".join(numbers[i : i + 5]) for i in range(0, len(numbers), 5)]
    return "".join(f"{line}\n" for line in lines)


def _fortran(number: float) -> str:
    """Print a number as Fortran's format E15.7 does."""
    if number == 0 or not np.isfinite(number):
        return f"{'0.0000000E+00' if number == 0 else 'NaN':>15s}"
    mantissa, _, exponent = f"{abs(number):.6E}".partition("E")
    digits = f"{'-' if number < 0 else ''}0.{mantissa.replace('.', '')}E{int(exponent) + 1:+03d}"
    return f"{digits:>15s}"
