"""Which isovalue to show where none is given, and how it is written."""

from __future__ import annotations

import numpy as np

from deepdft.density import Density
from deepdft.plotting.enclosed import DEFAULT_LEVEL, Enclosed
from deepdft.plotting.meshes import has_negative_lobe
from deepdft.structures.coverage import is_isolated

_CRYSTAL_SHARE = 0.85
"""Of the electrons that the surface of a crystal encloses."""

_SIGNED_SHARE = 0.4
"""Of the integral of the magnitude that the lobes of a signed field enclose."""


def chosen_level(density: Density) -> float:
    """Return an isovalue that shows much, rounded to two digits, in the field's unit.

    The outer surface of a molecule, 0.002 e/bohr^3; of a crystal, what encloses 85 % of the
    electrons; of a field with negative parts, what encloses 40 % of its magnitude.
    """
    if has_negative_lobe(density.values):
        sizes = np.sort(np.abs(density.values), axis=None)[::-1]
        sums = np.cumsum(sizes, dtype=np.float64)
        level = float(sizes[min(np.searchsorted(sums, _SIGNED_SHARE * sums[-1]), len(sums) - 1)])
    elif density.values.max() > DEFAULT_LEVEL and is_isolated(density.atoms):
        return DEFAULT_LEVEL
    elif density.n_electrons > 0:
        level = Enclosed(density).level(_CRYSTAL_SHARE)
    else:
        level = float(density.values.max())
    return float(f"{level:.2g}")


def shown_level(level: float) -> str:
    """Return an isovalue as it is written in a picture: three digits at most."""
    return f"{abs(level):.3g}"
