"""Sums that do not depend on the order of what is added."""

from __future__ import annotations

import math
from collections.abc import Iterable


class ExactSums:
    """Sums of floating-point numbers without rounding, several side by side.

    Each is kept as a few numbers that do not overlap and whose sum is exactly that of all numbers
    added (Shewchuk, Discrete Comput. Geom. 18, 305 (1997)); it is rounded once, at the end.

    Args:
        count: number of sums.
    """

    def __init__(self, count: int) -> None:
        self._parts: list[list[float]] = [[] for _ in range(count)]

    def add(self, values: Iterable[float]) -> None:
        """Add one number to each sum."""
        for parts, value in zip(self._parts, values, strict=True):
            _grow(parts, float(value))

    def merge(self, other: ExactSums) -> None:
        """Add all that was added to others."""
        for parts, others in zip(self._parts, other._parts, strict=True):
            for value in others:
                _grow(parts, value)

    def totals(self) -> list[float]:
        """Return the sums; what was not finite makes them not a number."""
        return [
            math.fsum(parts) if all(map(math.isfinite, parts)) else math.nan
            for parts in self._parts
        ]


def _grow(parts: list[float], value: float) -> None:
    """Add a number to a sum kept as parts that do not overlap."""
    kept = 0
    for part in parts:
        larger, smaller = (value, part) if abs(value) >= abs(part) else (part, value)
        value = larger + smaller
        rest = smaller - (value - larger)
        if rest:
            parts[kept] = rest
            kept += 1
    parts[kept:] = [value]
