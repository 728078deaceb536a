"""What to calculate next: the structures of a pool whose densities would teach a model most.

Every atom of the pool is expected to be wrong by some share of its structure's electrons (its
share of the expected error, `deepdft.models.expected_errors`). A calculation teaches the model
about all atoms whose surroundings are like those in it. With t the whitened features of an atom's
surroundings (K numbers of mean square one in training), two atoms of one element are alike by

    k(a, b) = exp(-|t_a - t_b|^2 / (2 K l^2)),   l = 1/2,

1 for the same surroundings, 0.02 for two typical atoms of training. Structures are chosen one
after the other; the next one is that with the largest

    gain = max(1, s) sum_a share_a (1 - max_b k(a, b)) / electrons / (cost / median cost)^c

where b runs over the atoms of what is chosen, or known, already, and s is the structure's distance
from what training holds, in units of the limit beyond which a structure is unusual: there the
expected error is known to be too small. So no two structures are alike, nor two atoms' worth paid
for twice, and of two that teach as much the cheaper one comes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.errors import ConfigurationError
from deepdft.models.expected_errors.expected import features_of
from deepdft.prediction.trained_model import TrainedModel
from deepdft.structures import Structure
from deepdft.uncertainty.costs import guessed_costs

LENGTH = 0.5
"""l, how far surroundings reach that are alike, in units of their spread in training."""

COST_EXPONENT = 0.3
"""c, how much a calculation's cost counts by default."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """A structure of the pool, as the model sees it.

    Attributes:
        structure: the structure.
        eps_mae: the error that is expected, a fraction.
        distance: from what training holds; above 1 is unusual.
        shares: (atoms,) each atom's part of `eps_mae`.
        surroundings: (atoms, K) whitened features.
        electrons: that a calculation treats.
    """

    structure: Structure
    eps_mae: float
    distance: float
    shares: FloatArray
    surroundings: FloatArray
    electrons: float


@dataclass(frozen=True)
class Choice:
    """A structure that was chosen.

    Attributes:
        rank: 1 for the first.
        structure: the structure.
        eps_mae: the error that is expected, a fraction.
        distance: from what training holds; above 1 is unusual.
        new: part of the expected error that no structure chosen before would teach about.
        cost: guess of the calculation's cost, see `deepdft.uncertainty.costs`.
        gain: what decided, see the module.
    """

    rank: int
    structure: Structure
    eps_mae: float
    distance: float
    new: float
    cost: float
    gain: float

    def as_dict(self) -> dict[str, object]:
        """Return it as JSON has it."""
        return {
            "rank": self.rank,
            "name": self.structure.name,
            "formula": self.structure.atoms.get_chemical_formula(),
            "atoms": len(self.structure.atoms),
            "expected_eps_mae": self.eps_mae,
            "distance": self.distance,
            "new": self.new,
            "cost": self.cost,
            "gain": self.gain,
        }


def candidate(model: TrainedModel, structure: Structure) -> Candidate:
    """Look at one structure.

    Raises:
        UnsupportedStructureError: if the model cannot treat it.
        ConfigurationError: if the model does not know its errors.
    """
    model.check(structure.atoms)
    error_model = model.require_error_model()
    senders = model.evaluator.encode(structure.atoms, model.threads)
    expected = model.uncertainty_of_encoded(structure.atoms, senders)
    species = error_model.species(structure.atoms.numbers)
    features = features_of(model.evaluator, senders)
    surroundings, _ = error_model.space.locate(features, species)
    shares = np.asarray(expected.shares) * (expected.eps_mae / expected.shares.sum())
    electrons = model.expected_electrons(structure.atoms) or structure.atoms.numbers.sum()
    return Candidate(
        structure, expected.eps_mae, expected.score, shares, surroundings, float(electrons)
    )


def choose(
    candidates: Sequence[Candidate],
    count: int,
    *,
    known: Sequence[Candidate] = (),
    cost_exponent: float = COST_EXPONENT,
    progress: Callable[[], None] = lambda: None,
) -> list[Choice]:
    """Choose structures to calculate, the most instructive first.

    Args:
        candidates: the pool.
        count: how many to choose; all where the pool has fewer.
        known: structures that are calculated already and not in the model's training.
        cost_exponent: c; 0 takes no notice of costs.
        progress: called for each structure chosen.

    Raises:
        ConfigurationError: if there is nothing to choose from, or nothing to be chosen.
    """
    if not candidates or count < 1:
        raise ConfigurationError(
            f"{max(count, 0)} of {len(candidates)} structures cannot be chosen."
        )
    costs = guessed_costs(
        [entry.structure.atoms for entry in candidates], [entry.electrons for entry in candidates]
    )
    weights = np.maximum(1.0, [entry.distance for entry in candidates])
    weights /= (costs / np.median(costs)) ** cost_exponent
    atoms = _Atoms(candidates)
    for entry in known:
        atoms.learn(entry)
    free = np.ones(len(candidates), bool)
    chosen: list[Choice] = []
    for rank in range(1, min(count, len(candidates)) + 1):
        left = atoms.left()
        gains = np.where(free, weights * left, -1.0)
        best = int(gains.argmax())
        entry = candidates[best]
        free[best] = False
        new = min(left[best] / entry.eps_mae, 1.0) if entry.eps_mae > 0 else 0.0
        found = (float(new), float(costs[best]), float(gains[best]))
        chosen.append(Choice(rank, entry.structure, entry.eps_mae, entry.distance, *found))
        atoms.learn(entry)
        progress()
    return chosen


class _Atoms:
    """All atoms of the pool by element, and what is left to learn about each."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._count = len(candidates)
        numbers = np.concatenate([entry.structure.atoms.numbers for entry in candidates])
        shares = np.concatenate([entry.shares for entry in candidates])
        surroundings = np.concatenate([entry.surroundings for entry in candidates])
        lengths = [len(entry.shares) for entry in candidates]
        owners = np.repeat(np.arange(len(candidates)), lengths)
        self._scale = 2 * LENGTH**2 * surroundings.shape[1]
        self._elements: dict[int, _Element] = {}
        for number in np.unique(numbers):
            own = numbers == number
            self._elements[int(number)] = _Element(
                surroundings[own], shares[own], owners[own], np.zeros(int(own.sum()))
            )

    def left(self) -> FloatArray:
        """Return what is left to learn of each structure, a part of its electrons."""
        total = np.zeros(self._count)
        for own in self._elements.values():
            np.add.at(total, own.owners, own.shares * (1.0 - own.alike))
        return total

    def learn(self, entry: Candidate) -> None:
        """Take in a structure that is, or will be, calculated."""
        for number, place in zip(
            entry.structure.atoms.numbers.tolist(), entry.surroundings, strict=True
        ):
            own = self._elements.get(number)
            if own is not None:
                squares = ((own.surroundings - place) ** 2).sum(axis=1)
                np.maximum(own.alike, np.exp(-squares / self._scale), out=own.alike)


@dataclass
class _Element:
    """Atoms of one element: `alike` is how well the most similar atom that is learned from fits."""

    surroundings: FloatArray
    shares: FloatArray
    owners: NDArray[np.int64]
    alike: FloatArray
