"""How much of a density an isosurface encloses, and which surface encloses how much."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.units import PER_CUBIC_BOHR

DEFAULT_LEVEL = 0.002 * PER_CUBIC_BOHR
"""Isovalue for the outer surface of a molecule, e/Å^3: 0.002 e/bohr^3, as is usual."""


class Enclosed:
    """Shares of a density inside its isosurfaces; values are sorted once, levels cost little.

    Args:
        density: the density.

    Raises:
        ConfigurationError: if its integral is not positive.
    """

    def __init__(self, density: Density) -> None:
        if not density.n_electrons > 0:
            raise ConfigurationError("The density integrates to nothing that could be enclosed.")
        self._density = density

    @cached_property
    def _sorted(self) -> FloatArray:
        result: FloatArray = np.sort(self._density.values, axis=None)[::-1].astype(np.float64)
        return result

    @cached_property
    def _sums(self) -> FloatArray:
        result: FloatArray = np.cumsum(self._sorted)
        return result

    def share(self, level: float) -> float:
        """Return the fraction of the integral where the density is at least `level` (e/Å^3)."""
        count = len(self._sorted) - int(np.searchsorted(self._sorted[::-1], level, side="left"))
        return float(self._sums[count - 1] / self._sums[-1]) if count else 0.0

    def electrons(self, level: float) -> float:
        """Return the electrons where the density is at least `level` (e/Å^3)."""
        return self.share(level) * self._density.n_electrons

    def level(self, share: float) -> float:
        """Return the value (e/Å^3) of the surface that encloses a fraction of the integral.

        Raises:
            ConfigurationError: if the fraction is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ConfigurationError(f"A share of the electrons lies between 0 and 1, not {share}.")
        # Negative values at the end make the sums fall again.
        rising = np.maximum.accumulate(self._sums)
        place = int(np.searchsorted(rising, share * self._sums[-1]))
        return float(self._sorted[min(place, len(self._sorted) - 1)])
