"""Sums over the edges of each receiver, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Array


def summed(values: Array, offsets: NDArray[np.int64]) -> Array:
    """Sum values (edges, ...) sorted by receiver; returns (receivers, ...).

    Args:
        values: of the edges.
        offsets: (receivers + 1,) first edge of each receiver; some may have none.
    """
    result = np.zeros((len(offsets) - 1, *values.shape[1:]), values.dtype)
    reached = np.diff(offsets) > 0
    if len(values):
        result[reached] = np.add.reduceat(values, offsets[:-1][reached], axis=0)
    return result
