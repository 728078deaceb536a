"""How an atom's share of the expected error falls with the distance from it, as tables."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deepdft.arrays import FloatArray
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.fit import RadialBasis, tables_of
from deepdft.levels import LevelOfTheory

SPACING = 0.05
"""Distance between the knots of the tables, Å."""


def error_basis(cutoff: float) -> RadialBasis:
    """Return the functions of distance that shapes are made of."""
    # A whole number of knots, at least what was asked for.
    reach = SPACING * np.ceil(cutoff / SPACING - 1e-9)
    return RadialBasis(cutoff=float(reach), count=12, spacing=SPACING)


def shape_tables(
    symbols: Sequence[str], coefficients: FloatArray, basis: RadialBasis, level: LevelOfTheory
) -> AtomicDensityTables:
    """Return shapes as tables, 1/Å^3, each scaled to an integral of exactly one."""
    tables = tables_of(symbols, coefficients, basis, level)
    integrals = np.array([tables.electrons(symbol) for symbol in symbols])
    return tables_of(symbols, coefficients / integrals[:, None], basis, level)
