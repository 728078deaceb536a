"""What the checks need to know of a large array, in one pass through memory."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 1 << 16
"""Numbers that stay in the processor's cache while four things are asked about them."""


@dataclass(frozen=True)
class Summary:
    """Sum, sum of the negative values (negative), smallest and largest value, and the count."""

    total: float
    negative: float
    smallest: float
    largest: float
    count: int

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Summary:
        """Look at an array of any memory order; a contiguous one is not copied."""
        flat = values.ravel(order="K")
        total, negative = 0.0, 0.0
        smallest, largest = float("inf"), float("-inf")
        for start in range(0, flat.size, _BLOCK):
            block = flat[start : start + _BLOCK]
            low = float(block.min())
            smallest, largest = min(smallest, low), max(largest, float(block.max()))
            total += float(block.sum(dtype=np.float64))
            if low < 0:
                negative += float(block[block < 0].sum(dtype=np.float64))
        return cls(total, negative, smallest, largest, flat.size)

    @classmethod
    def joined(cls, parts: Iterable[Summary]) -> Summary:
        """Return the summary of several arrays together."""
        known = list(parts)
        return cls(
            math.fsum(part.total for part in known),
            math.fsum(part.negative for part in known),
            min((part.smallest for part in known), default=float("inf")),
            max((part.largest for part in known), default=float("-inf")),
            sum(part.count for part in known),
        )

    @property
    def size(self) -> float:
        """Sum of the absolute values."""
        return self.total - 2 * self.negative

    def times(self, factor: float) -> Summary:
        """Return the summary of the values times a positive factor."""
        return Summary(
            self.total * factor,
            self.negative * factor,
            self.smallest * factor,
            self.largest * factor,
            self.count,
        )
