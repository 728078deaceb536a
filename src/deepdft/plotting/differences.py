"""The difference of two densities for pictures, on the grid of the first."""

from __future__ import annotations

from dataclasses import replace

from deepdft.density import Density
from deepdft.fields.resampled import resample


def difference_of(density: Density, other: Density, *, mix_levels: bool = False) -> Density:
    """Return ``density - other`` on the grid of `density`, labelled as a difference.

    Raises:
        LevelOfTheoryError: if the levels of theory differ and `mix_levels` is not set.
    """
    if not mix_levels:
        density.level.require_match(other.level, "The densities cannot be subtracted")
    moved = resample(other, density.grid).density
    result = density.minus(moved, mix_levels=True)
    return replace(result, metadata={"quantity": "difference-density"})
