"""The number of electrons, and the integral of the density's magnitude."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from deepdft.arrays import Index
from deepdft.density import Grid
from deepdft.fields.reductions.reduction import Integral


class Electrons(Integral):
    """The integral of a density, electrons."""

    name = "electrons"
    unit = "e"

    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return the integral over a box."""
        return [float(np.sum(values, dtype=np.float64)) * grid.voxel_volume]


class AbsoluteIntegral(Integral):
    """The integral of |rho|, electrons: larger than their number where a density is negative."""

    name = "absolute_integral"
    unit = "e"

    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return the integral over a box."""
        return [float(np.sum(np.abs(values), dtype=np.float64)) * grid.voxel_volume]
