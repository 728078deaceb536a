"""What a model's errors are at random points of structures that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.data import DensityDataset
from deepdft.geometry.graphs import probe_edges
from deepdft.models.expected_errors.calibration import Excess
from deepdft.models.expected_errors.expected import features_of
from deepdft.prediction.trained_model import TrainedModel

_REACH = 5.0
"""Points are drawn within this distance of an atom, Å."""

_TOTAL_POINTS = 2_000_000
_POINTS = (2_000, 20_000)
"""Fewest and most points of a structure."""


@dataclass(frozen=True, eq=False)
class Residuals:
    """Absolute errors at points of one structure, and the atoms near each point.

    Attributes:
        name: the structure's name.
        atoms: the structure.
        features: (atoms, D) what the encoder made of the atoms.
        weights: (n,) volume that each point stands for, Å^3.
        errors: (n,) absolute error, e/Å^3.
        electrons: integral of the absolute reference density.
        senders: (pairs,) atom of each pair of point and atom in reach.
        offsets: (n + 1,) where the pairs of each point begin.
        distances: (pairs,) Å.
        excess: by how many electrons the network is off before that is corrected; None where it
            is not known.
    """

    name: str
    atoms: Atoms
    features: FloatArray
    weights: FloatArray
    errors: FloatArray
    electrons: float
    senders: NDArray[np.int32]
    offsets: NDArray[np.int64]
    distances: NDArray[np.float32]
    excess: Excess | None = None

    @property
    def absolute_error(self) -> float:
        """Integral of the absolute error, electrons."""
        return float(self.weights @ self.errors)

    @property
    def eps_mae(self) -> float:
        """Eq. (7) of the paper, a fraction."""
        return self.absolute_error / self.electrons


def sample_residuals(
    model: TrainedModel,
    dataset: DensityDataset,
    cutoff: float,
    *,
    seed: int = 0,
    progress: Callable[[str], None] | None = None,
) -> list[Residuals]:
    """Return the errors of a model at random points of every structure of a dataset.

    Args:
        model: the model.
        dataset: structures held out of its training.
        cutoff: reach of pairs of point and atom, Å.
        seed: of the points.
        progress: called with a structure's name after it is done.
    """
    count = int(np.clip(_TOTAL_POINTS // len(dataset), *_POINTS))
    result = []
    for index, name in enumerate(dataset.names):
        atoms = dataset.atoms(index)
        engine = model.engine(atoms)
        generator = np.random.default_rng((seed, index))
        probes = dataset.draw(index, count, generator, cutoff=_REACH, importance=0.5)
        errors = np.abs(engine.at(probes.points) - probes.values)
        electrons = dataset.n_electrons(index)
        # The points' weights are relative; the integral of the density says what they stand for.
        weights = probes.weights * (electrons / (probes.weights @ np.abs(probes.values)))
        edges = probe_edges(atoms, probes.points, cutoff)
        result.append(
            Residuals(
                name, atoms, features_of(model.evaluator, engine.senders), weights, errors,
                electrons,
                edges.senders.numpy().astype(np.int32), edges.offsets.numpy(),
                edges.distances.numpy().astype(np.float32),
                model.excess(engine),
            )
        )  # fmt: skip
        if progress is not None:
            progress(name)
    return result
