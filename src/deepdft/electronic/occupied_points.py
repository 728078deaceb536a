"""Grids of molecules without the points at which there is next to no density.

A fifth of the points of a grid around atoms, close to nuclei and far outside, hold a millionth of
an electron together. Superposed atoms tell which ones.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.electronic.ions import clouds_at
from deepdft.fields.atoms import SuperposedAtoms
from deepdft.levels import LevelOfTheory
from deepdft.units import BOHR

NEGLIGIBLE = 1e-6
"""Electrons at all points that are left out."""


class Quadrature(NamedTuple):
    """What serves of a grid of PySCF's.

    Attributes:
        coords: (n, 3) points, bohr.
        weights: (n,) bohr^3.
    """

    coords: FloatArray
    weights: FloatArray


def occupied_points(grids: Any, atoms: Atoms, level: LevelOfTheory) -> Quadrature:
    """Return a grid without the points that hold 1e-6 electrons of superposed atoms together.

    Args:
        grids: PySCF's grid, built; neighbours follow one another, as they do in what is returned.
        atoms: the molecule.
        level: level of theory of the superposed atoms; where there are none, all points are kept.
    """
    coords, weights = np.asarray(grids.coords), np.asarray(grids.weights)
    clouds = clouds_at(level, atoms)
    if clouds is None:
        return Quadrature(coords, weights)
    held = np.abs(weights) * SuperposedAtoms(clouds, atoms, threads=1).at(coords * BOHR) * BOHR**3
    order = np.argsort(held)
    kept = np.ones(len(held), dtype=bool)
    kept[order[: np.searchsorted(np.cumsum(held[order]), NEGLIGIBLE)]] = False
    return Quadrature(coords[kept], weights[kept])
