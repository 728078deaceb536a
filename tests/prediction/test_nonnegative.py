"""Densities from orbitals are predicted nowhere negative; those of PAW potentials may be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deepdft.density import Grid
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.prediction import predict_to_store
from deepdft.prediction.engine import ProbeEngine
from deepdft.prediction.trained_model import TrainedModel
from deepdft.testing.networks import PACKAGED, small_network
from deepdft.testing.structures import ethanol, points_near

ORBITALS = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
PAW = LevelOfTheory("PBE", "PAW pseudo-density (GPAW)", "350 eV", "GPAW 26.7")


def test_which_levels_are_known_to_be_nonnegative():
    assert ORBITALS.is_nonnegative
    assert LevelOfTheory("PBE", "all-electron").is_nonnegative
    assert LevelOfTheory("PBE", "PseudoDojo NC-SR 0.4", "80 Ry").is_nonnegative
    assert not PAW.is_nonnegative
    assert not LevelOfTheory("PBE", "PAW").is_nonnegative
    assert not LevelOfTheory("PBE").is_nonnegative


def both_signs():
    """Atomic densities that are negative for oxygen and positive for the rest, large."""
    tables = AtomicDensityTables.load("pbe-gth-dzvp")
    signs = np.where(np.array(tables.elements) == "O", -20.0, 20.0)
    return replace(tables, knots=tables.knots * signs[:, None, None])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("architecture", PACKAGED)
def test_negative_values_become_zero_and_no_others_change(architecture, dtype):
    atoms = ethanol()
    points = points_near(atoms, 60)
    # Far from all atoms some architectures keep a constant.
    points[0] = 40.0
    network = small_network(architecture, dtype)
    plain = ProbeEngine(network, both_signs(), atoms, 1)
    limited = ProbeEngine(network, both_signs(), atoms, 1, level=ORBITALS)
    expected = plain.at(points)
    assert (expected < 0).any()
    assert (expected > 0).any()
    np.testing.assert_array_equal(limited.at(points), np.maximum(expected, 0.0))
    grid = Grid(np.diag([6.0, 5.0, 4.0]), (9, 8, 7), (-3.0, -2.5, -2.0))
    box = ((0, 0, 0), grid.shape)
    np.testing.assert_array_equal(limited.box(grid, *box), np.maximum(plain.box(grid, *box), 0.0))
    both = [engine.at(points, 2) for engine in (plain, limited)]
    for before, after in zip(*both, strict=True):
        kept = both[0].value >= 0.0
        np.testing.assert_array_equal(after[kept], before[kept])
        assert not after[~kept].any()


@pytest.mark.parametrize("level", [ORBITALS, PAW], ids=["orbitals", "PAW"])
def test_the_level_of_the_model_decides(level, tmp_path):
    atoms = ethanol()
    model = TrainedModel(Checkpoint.of_network(small_network("deepdft"), level, None, {}), "mine")
    model.baseline = both_signs()
    grid = Grid(np.diag([6.0, 5.0, 4.0]), (9, 8, 7), (-3.0, -2.5, -2.0))
    expected = ProbeEngine(model.network, model.baseline, atoms, 1).box(grid, (0, 0, 0), grid.shape)
    assert (expected < 0).any()
    if level is ORBITALS:
        expected = np.maximum(expected, 0.0)
    found = model.engine(atoms).box(grid, (0, 0, 0), grid.shape)
    np.testing.assert_array_equal(found, expected)
    predict_to_store(atoms, tmp_path / "rho.zarr", model, grid)
    from deepdft.formats import read

    np.testing.assert_allclose(read(tmp_path / "rho.zarr").values, expected, rtol=1e-6, atol=1e-6)
