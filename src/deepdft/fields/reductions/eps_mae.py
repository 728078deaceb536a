"""How far a density is from a reference: equation (7) of the paper."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from deepdft.arrays import Index
from deepdft.density import Grid
from deepdft.fields.field import OnBoxes
from deepdft.fields.reductions.reduction import Integral, Subject


class EpsMae(Integral):
    """The integral of |rho - rho_reference| over that of |rho_reference|, a fraction."""

    name = "eps_mae"
    count = 2

    def __init__(self, reference: OnBoxes) -> None:
        super().__init__()
        self._reference = reference

    @classmethod
    def of(cls, subject: Subject) -> Self | None:
        """Return an empty one, or None without a reference."""
        return None if subject.reference is None else cls(subject.reference)

    def integrals(self, grid: Grid, start: Index, stop: Index, values: Any) -> Iterable[float]:
        """Return both integrals over a box, in points."""
        reference = self._reference.box(grid, start, stop)
        yield float(np.abs(values - reference).sum(dtype=np.float64))
        yield float(np.abs(reference).sum(dtype=np.float64))

    def result(self) -> float:
        """Return the ratio; not a number where the reference is zero everywhere."""
        error, norm = self._sums.totals()
        return error / norm if norm else math.nan
