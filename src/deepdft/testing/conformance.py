"""The whole suite."""

from __future__ import annotations

import pytest
from ase import Atoms

from deepdft.architectures.base import DensityModel
from deepdft.arrays import FloatArray
from deepdft.testing.brute_force import points_off_cutoff
from deepdft.testing.derivatives import DerivativeConformance
from deepdft.testing.evaluation import EvaluationConformance
from deepdft.testing.learning import LearningConformance
from deepdft.testing.networks import small_network
from deepdft.testing.structures import STRUCTURES, points_near
from deepdft.testing.symmetry import SymmetryConformance


class Conformance(
    SymmetryConformance, EvaluationConformance, DerivativeConformance, LearningConformance
):
    """Tests of one architecture, whose name the fixture `architecture` gives."""

    @pytest.fixture(params=STRUCTURES)
    def structure(self, request: pytest.FixtureRequest) -> Atoms:
        """Every small structure in turn."""
        return STRUCTURES[request.param]()

    @pytest.fixture
    def network(self, architecture: str) -> DensityModel:
        return small_network(architecture)

    @pytest.fixture
    def points(self, network: DensityModel, structure: Atoms) -> FloatArray:
        """Points near a structure, none with an atom at the cutoff to within rounding."""
        points = points_near(structure, 40)
        points[:2] = structure.positions[:2]
        return points_off_cutoff(structure, points, network.cutoff)
