"""What a reference calculation costs, guessed from the structure alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray

COST = "cost"
"""Key of `atoms.info` with a guess of the time, seconds."""

_SPACING = 0.35
"""Distance between k-points, 1/Å (2 pi included)."""


def guessed_costs(structures: Sequence[Atoms], electrons: Sequence[float]) -> FloatArray:
    """Return what the calculation of each structure costs, to be compared with one another.

    What `atoms.info["cost"]` says where all structures say it (seconds, for example); else a guess
    in a unit of its own. For periodic structures: plane waves (the volume) times the square of the
    number of bands (electrons), times k-points, of which time reversal leaves half. For molecules:
    the cube of the number of electrons.

    Args:
        structures: the structures.
        electrons: that each calculation would treat.
    """
    told = [atoms.info.get(COST) for atoms in structures]
    if all(_is_cost(value) for value in told):
        return np.array(told, dtype=np.float64)
    return np.array([_guess(*pair) for pair in zip(structures, electrons, strict=True)])


def _is_cost(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        return False
    return bool(np.isfinite(value) and value > 0)


def _guess(atoms: Atoms, electrons: float) -> float:
    electrons = max(electrons, 1.0)
    if not atoms.pbc.all():
        return electrons**3 / 1e3
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(np.asarray(atoms.cell)), axis=0)
    kpoints = np.maximum(np.ceil(lengths / _SPACING), 1).prod()
    return float(electrons**2 * atoms.get_volume() * (kpoints + 1) / 2) / 1e6
