"""Names of arrays' types, used all over the package."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
"""An array of any type of numbers: of kernels that are compiled for several."""

FloatArray = NDArray[np.float64]

IntegerArray = NDArray[np.int64]

Index = tuple[int, int, int]
"""Of a point of a grid, a chunk or a block."""
