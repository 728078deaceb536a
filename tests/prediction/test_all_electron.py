"""Predictions with frozen cores."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule

import deepdft
from deepdft.errors import ConfigurationError
from deepdft.fields.free_atoms import FrozenCores
from deepdft.prediction import predict_to_file
from deepdft.prediction.all_electron import frozen_cores


def test_cores_are_added_in_memory_and_in_files(tmp_path):
    model = deepdft.load_model("default", "cpu")
    atoms = molecule("H2O")
    grid = deepdft.Grid.around(atoms, 0.4, 2.0)
    valence = deepdft.predict(atoms, model, grid=grid)
    whole = deepdft.predict(atoms, model, grid=grid, all_electron=True)
    cores = FrozenCores(atoms, [2, 0, 0]).box(grid, (0, 0, 0), grid.shape)
    np.testing.assert_allclose(whole.values - valence.values, cores, rtol=0, atol=1e-9)
    assert cores.max() > 0
    assert whole.level.core == "GTH-PBE with frozen cores"
    assert whole.metadata["core_electrons"] == 2
    assert whole.metadata["properties"] == valence.metadata["properties"]
    path = tmp_path / "water.npz"
    summary = predict_to_file(atoms, path, model, grid, all_electron=True)
    written = deepdft.read(path)
    np.testing.assert_allclose(written.values, whole.values, rtol=1e-5, atol=1e-5)
    assert written.level == whole.level
    assert summary.properties == valence.metadata["properties"]


def test_pseudo_densities_of_paw_lack_more():
    model = deepdft.load_model("cathode", "cpu")
    with pytest.raises(ConfigurationError, match="pseudo-densities of PAW"):
        frozen_cores(model, molecule("O2"))
