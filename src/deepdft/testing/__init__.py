"""What every architecture has to satisfy; `test_conformance.py` applies it to all of them."""

from __future__ import annotations

import pytest
from ase import Atoms

from deepdft.architectures import DensityModel
from deepdft.density import FloatArray
from tests.architectures.conformance.derivatives import DerivativeConformance
from tests.architectures.conformance.evaluation import EvaluationConformance
from tests.architectures.conformance.learning import LearningConformance
from tests.architectures.conformance.networks import (
    EXACT,
    PACKAGED,
    density_at,
    finite_differences,
    forward,
    other_cell,
    random_rotation,
    small_network,
)
from tests.architectures.conformance.symmetry import SymmetryConformance
from tests.brute_force import points_off_cutoff
from tests.structures import points_near

__all__ = [
    "EXACT",
    "PACKAGED",
    "Conformance",
    "density_at",
    "finite_differences",
    "forward",
    "other_cell",
    "random_rotation",
    "small_network",
]


class Conformance(
    SymmetryConformance, EvaluationConformance, DerivativeConformance, LearningConformance
):
    """Tests of one architecture, whose name the fixture `architecture` gives."""

    @pytest.fixture
    def network(self, architecture: str) -> DensityModel:
        return small_network(architecture)

    @pytest.fixture
    def points(self, network: DensityModel, structure: Atoms) -> FloatArray:
        """Points near a structure, none with an atom at the cutoff to within rounding."""
        points = points_near(structure, 40)
        points[:2] = structure.positions[:2]
        return points_off_cutoff(structure, points, network.cutoff)
