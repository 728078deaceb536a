"""How right expected errors are, for groups of structures and for all of them.

A structure's group is `atoms.info["group"]`; those without one are a group of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import spearmanr

from deepdft.arrays import FloatArray

ALL = "all"
_FEWEST = 5
"""A rank correlation of fewer structures says nothing."""

_FAR = 2.0
"""A true error that is so many times what was expected should have come with a warning."""


@dataclass(frozen=True)
class GroupCalibration:
    """Expected and true errors of a group.

    Attributes:
        group: its name, "all" for all structures.
        structures: how many.
        mean_percent: mean true eps_mae, percent.
        rank_correlation: Spearman's, of expected and true; None for few structures.
        median_ratio: median of true over expected.
        in_range: part of the structures in the range meant for 80 %.
        far_off: part with a true error above twice the expected one.
        missed: the same without a warning.
    """

    group: str
    structures: int
    mean_percent: float
    rank_correlation: float | None
    median_ratio: float
    in_range: float
    far_off: float
    missed: float

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def group_of(atoms: Atoms) -> str:
    """Return the group that a structure says it belongs to; empty where it says nothing."""
    return str(atoms.info.get("group") or "")


def by_group(
    groups: Sequence[str], expected: FloatArray, true: FloatArray, in_range: NDArray[np.bool_],
    warned: NDArray[np.bool_],
) -> list[GroupCalibration]:  # fmt: skip
    """Return what is found for each group, and for all at the end.

    Args:
        groups: of each structure.
        expected: (structures,) expected eps_mae, fractions.
        true: (structures,) true ones.
        in_range: (structures,) whether the true one is in the range meant for 80 %.
        warned: (structures,) whether there was a warning.
    """
    names = np.array(groups)
    chosen = [(name, names == name) for name in sorted(set(groups))] if len(set(groups)) > 1 else []
    found = []
    for name, own in [*chosen, (ALL, np.ones(len(names), dtype=bool))]:
        ratios = true[own] / expected[own]
        far = ratios > _FAR
        enough = own.sum() >= _FEWEST
        found.append(
            GroupCalibration(
                group=name or "(none)",
                structures=int(own.sum()),
                mean_percent=100 * float(true[own].mean()),
                rank_correlation=float(spearmanr(expected[own], true[own])[0]) if enough else None,
                median_ratio=float(np.median(ratios)),
                in_range=float(in_range[own].mean()),
                far_off=float(far.mean()),
                missed=float((far & ~warned[own]).mean()),
            )
        )
    return found
