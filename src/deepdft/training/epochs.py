"""In which order structures are seen: every epoch a new one, some of them more often if wanted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError, did_you_mean

_STREAM = (1 << 20) - 1
"""Keeps these random numbers apart from those that draw probes."""


class Epochs:
    """Structures one after the other, as many an epoch as there are; a function of the seed.

    Without factors an epoch is all structures in a random order. With them a structure comes in
    proportion to its factor: of an expected 2.3 times in an epoch it has two or three, drawn anew
    in every epoch so that the mean is met exactly.

    Args:
        count: how many structures there are.
        seed: seed of the run.
        factors: (count,) positive; None if all are alike.
    """

    def __init__(self, count: int, seed: int, factors: NDArray[np.float64] | None = None) -> None:
        self.count = count
        self._seed = seed
        self._expected = None if factors is None else factors * (count / factors.sum())
        self._last: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, dtype=np.int64))

    def structure(self, position: int) -> int:
        """Return the structure at a position, counted from the beginning of the run."""
        epoch, place = divmod(position, self.count)
        if self._last[0] != epoch:
            self._last = epoch, self._order(epoch)
        return int(self._last[1][place])

    def _order(self, epoch: int) -> NDArray[np.int64]:
        generator = np.random.default_rng((self._seed, epoch, _STREAM))
        order = generator.permutation(self.count)
        if self._expected is None:
            return order
        # Systematic sampling: marks at equal distances on a line of the expected numbers, whose
        # order is random; each structure has as many as fall onto its piece.
        ends = np.cumsum(self._expected[order])
        ends[-1] = self.count
        marks = np.arange(self.count) + generator.random()
        chosen = order[np.searchsorted(ends, marks, side="right")]
        return generator.permutation(chosen)


def factors_of_groups(
    dataset: DensityDataset, weights: Mapping[str, float]
) -> NDArray[np.float64] | None:
    """Return the factor of every structure from those of groups; None where there are none.

    A structure's group is `atoms.info["group"]`; one of a group without a factor has one.

    Raises:
        ConfigurationError: if no structure is of a group that has a factor.
    """
    if not weights:
        return None
    groups = [str(dataset.preview(i).info.get("group", "")) for i in range(len(dataset))]
    known = sorted(set(groups) - {""})
    for name in weights:
        if name not in known:
            there = f"they have {', '.join(known)}" if known else "the data name no groups"
            raise ConfigurationError(
                f"sampling.weights: no training structure is of the group '{name}'; {there}."
                + did_you_mean(name, known)
            )
    return np.array([weights.get(group, 1.0) for group in groups])
