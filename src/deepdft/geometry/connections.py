"""Which atoms hang together."""

from __future__ import annotations

import numpy as np

from deepdft.arrays import IntegerArray


def connected_parts(count: int, first: IntegerArray, second: IntegerArray) -> IntegerArray:
    """Return the number of the part that each of `count` things belongs to, by first member.

    As SciPy's `connected_components`, whose import takes longer than a small prediction.

    Args:
        count: how many things there are.
        first, second: (pairs,) things that hang together.
    """
    least = np.arange(count)
    while True:
        before = least.copy()
        smaller = np.minimum(least[first], least[second])
        # Whole parts take the smaller number, not only the two.
        np.minimum.at(least, before[first], smaller)
        np.minimum.at(least, before[second], smaller)
        least = least[least]
        if np.array_equal(least, before):
            return np.unique(least, return_inverse=True)[1].reshape(-1)
