"""What error to expect of the prediction for one structure."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.architectures.interface import CpuNetwork
from deepdft.arrays import FloatArray, Index
from deepdft.density import Density, Grid
from deepdft.fields.atoms import SuperposedAtoms
from deepdft.fields.walk import density_on
from deepdft.models.expected_errors.calibration import Calibration, Excess, Wholes
from deepdft.models.expected_errors.error_model import ErrorModel

_CHUNK_ATOMS = 16_384
"""Atoms whose features are in memory at once."""

_NAMED = 8
"""Most atoms that a warning names."""


def features_of(network: CpuNetwork, senders: Any) -> FloatArray:
    """Return the features of encoded atoms, (atoms, D).

    Args:
        network: what evaluates the network.
        senders: what its `encode` returned.
    """
    return np.asarray(network.atom_features(senders), dtype=np.float64)


class Uncertainty:
    """The expected error of the density of one structure.

    Args:
        error_model: the model's error model.
        atoms: the structure.
        network: what evaluates the network.
        senders: what its `encode` returned for the structure.
        electrons: electrons of the structure, or None where the model's card does not tell.
        excess: by how many electrons the network is off; None where that is not known.
        threads: CPU threads; default: all that this process may use.

    Attributes:
        atoms: the structure.
        shares: (atoms,) each atom's share of the integral of the absolute error, electrons.
        distances: (atoms,) how far the atom's surroundings are from those in training, relative to
            a high quantile there.
        threshold: largest distance up to which a structure is within what the model knows.

    Raises:
        UnsupportedStructureError: if the error model does not know an element.
    """

    def __init__(
        self,
        error_model: ErrorModel,
        atoms: Atoms,
        network: CpuNetwork,
        senders: Any,
        electrons: float | None = None,
        excess: Excess | None = None,
        threads: int | None = None,
    ) -> None:
        species = error_model.species(atoms.numbers)
        self.atoms = atoms
        self.shares, self.distances = np.empty(len(atoms)), np.empty(len(atoms))
        for first in range(0, len(atoms), _CHUNK_ATOMS):
            part = slice(first, first + _CHUNK_ATOMS)
            features = features_of(network, senders[:, part])
            found = error_model.of_atoms(features, species[part])
            self.shares[part], self.distances[part] = found
        self.threshold = error_model.threshold
        self._model = error_model
        self._electrons = electrons or float(error_model.electrons[species].sum())
        self._width = 1.0
        if error_model.calibration is not None and excess is not None:
            self._calibrate(error_model.calibration, excess)
        self._threads = threads

    def _calibrate(self, calibration: Calibration, excess: Excess) -> None:
        """Scale the shares fragment by fragment, so that their sums are what is expected."""
        wholes = Wholes.of_fragments(self.shares, self.distances, excess)
        expected = calibration.eps_mae(wholes)
        factors = expected / np.maximum(wholes.shares, np.finfo(np.float64).tiny)
        self.shares = self.shares * factors[excess.fragment]
        weights = expected * excess.electrons
        self._width = float(np.average(calibration.width(wholes), weights=weights))

    @property
    def eps_mae(self) -> float:
        """The expected eps_mae (eq. 7), a fraction; analytic, so independent of any grid."""
        return float(self.shares.sum()) / self._electrons

    @property
    def held_out(self) -> int:
        """Number of held-out structures that the error model was fitted to."""
        return int(self._model.about["structures"])

    @property
    def eps_mae_range(self) -> tuple[float, float]:
        """Where eps_mae was for 80 % of the held-out structures, scaled to this one.

        It is wider for structures of kinds whose errors scatter more. Of fewer than some 20
        held-out structures it says little, and tends to be too narrow.
        """
        low, high = (ratio**self._width for ratio in self._model.ratios)
        return low * self.eps_mae, high * self.eps_mae

    @property
    def score(self) -> float:
        """The largest distance of an atom, in units of the threshold: above 1 is unusual."""
        return float(self.distances.max()) / self.threshold

    @property
    def unusual(self) -> list[int]:
        """Atoms in surroundings unlike those in training, the most unusual first."""
        order = np.argsort(-self.distances, kind="stable")
        return [int(i) for i in order if self.distances[i] > self.threshold]

    @cached_property
    def field(self) -> SuperposedAtoms:
        """The expected absolute error as a field: the atoms' shares, superposed."""
        return SuperposedAtoms(self._model.tables, self.atoms, self.shares, self._threads)

    def at(self, points: ArrayLike) -> FloatArray:
        """Return the expected absolute error at points (n, 3) in Å: (n,) e/Å^3.

        Raises:
            ConfigurationError: if the points have another shape or are not finite.
        """
        return self.field.at(points)

    def box(self, grid: Grid, start: Index, stop: Index) -> FloatArray:
        """Return the expected error on the index box start:stop of a grid, (mx, my, mz) e/Å^3."""
        return self.field.box(grid, start, stop)

    def volume(self, grid: Grid) -> Density:
        """Return the expected absolute error on a grid, as a density."""
        return replace(density_on(self.field, grid), level=self._model.level)

    def warning(self) -> str | None:
        """Return a sentence where the structure lies outside what the model knows, else None."""
        unusual = self.unusual
        if not unusual:
            return None
        symbols = self.atoms.get_chemical_symbols()
        named = ", ".join(f"{symbols[i]}{i + 1}" for i in unusual[:_NAMED])
        more = len(unusual) - _NAMED
        rest = f" and {more} more" if more > 0 else ""
        those, have = ("atom", "has") if len(unusual) == 1 else ("atoms", "have")
        return (
            f"{self.atoms.get_chemical_formula()} lies outside what the model knows: its {those} "
            f"{named}{rest} (numbered from 1) {have} surroundings unlike those in training, up to "
            f"{self.score:.1f} times the limit; the error may be larger than expected"
        )
