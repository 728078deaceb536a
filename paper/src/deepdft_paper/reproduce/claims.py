"""What the paper says of outliers, tested on measured errors.

1. Outliers are still about ten times better than superposed atomic densities.
2. They hold groups that are rare in training.
3. The other two systems have no outliers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu, spearmanr

from deepdft_paper.reproduce.environments import rarest
from deepdft_paper.reproduce.measure import Measured

PERCENTILE = 95.0
"""Structures with errors above this percentile are the outliers that are looked at."""
FENCE = 3.0
"""An outlier in the sense of claim 3 is this many interquartile ranges above the third quartile."""
SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Outlier:
    """A structure with a large error.

    Attributes:
        measured: its errors.
        better: error of superposed atoms divided by that of the model.
        rarest: its environment that is rarest in training, "" where that is not known.
        count: in how many training structures that one occurs.
    """

    measured: Measured
    better: float
    rarest: str
    count: int


@dataclass(frozen=True)
class Rarity:
    """Whether large errors go with environments that are rare in training.

    Attributes:
        outliers: median over outliers of the training structures with their rarest environment.
        others: the same of all others.
        p_value: one-sided rank-sum test (Mann-Whitney) that those of outliers are fewer.
        correlation: Spearman's, over all structures, between that count and the error.
        correlation_p_value: one-sided, that it is negative.
    """

    outliers: float
    others: float
    p_value: float
    correlation: float
    correlation_p_value: float

    @property
    def holds(self) -> bool:
        """Whether the outliers' environments are rarer, by the rank-sum test."""
        return self.p_value < SIGNIFICANCE


@dataclass(frozen=True)
class Tail:
    """How far the largest errors of a system lie from the others.

    Attributes:
        fence: third quartile and three interquartile ranges, %.
        beyond: names of the structures above it.
        max_over_median: largest error divided by the median.
    """

    fence: float
    beyond: list[str]
    max_over_median: float


def errors_of(found: Sequence[Measured]) -> NDArray[np.float64]:
    """Return the model's errors in percent."""
    return 100 * np.array([entry.eps_mae for entry in found])


def outliers_of(
    found: Sequence[Measured], atoms: Sequence[Atoms], counts: Mapping[str, int] | None
) -> list[Outlier]:
    """Return the structures above the 95th percentile of errors, the worst first.

    Args:
        found: errors.
        atoms: the structures, in the same order.
        counts: in how many training structures an environment occurs.
    """
    errors = errors_of(found)
    result = []
    for index in np.argsort(-errors):
        if errors[index] <= np.percentile(errors, PERCENTILE):
            break
        entry = found[index]
        name, count = ("", 0) if counts is None else rarest(atoms[index], counts)
        result.append(Outlier(entry, entry.eps_mae_atoms / entry.eps_mae, name, count))
    return result


def rarity(
    found: Sequence[Measured], atoms: Sequence[Atoms], counts: Mapping[str, int]
) -> Rarity | None:
    """Test whether outliers hold environments that are rare in training.

    Returns:
        None if there are no outliers, or all structures have equal errors or counts.
    """
    errors = errors_of(found)
    rare = np.array([rarest(structure, counts)[1] for structure in atoms], dtype=float)
    outside = errors > np.percentile(errors, PERCENTILE)
    if not outside.any() or np.ptp(rare) == 0 or np.ptp(errors) == 0:
        return None
    test = mannwhitneyu(rare[outside], rare[~outside], alternative="less", method="auto")
    correlation = spearmanr(rare, errors, alternative="less")
    return Rarity(
        float(np.median(rare[outside])),
        float(np.median(rare[~outside])),
        float(test.pvalue),
        float(correlation.statistic),
        float(correlation.pvalue),
    )


def tail(found: Sequence[Measured]) -> Tail:
    """Return how far the largest errors lie from the others."""
    errors = errors_of(found)
    first, median, third = np.percentile(errors, (25, 50, 75))
    fence = float(third + FENCE * (third - first))
    beyond = [entry.name for entry, error in zip(found, errors, strict=True) if error > fence]
    return Tail(fence, beyond, float(errors.max() / median))
