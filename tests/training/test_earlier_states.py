"""Runs that earlier code began, one of each format of models, go on to the same weights.

That of format 1 is from before the rebuild; later ones are made by `tests.kept_samples`.
"""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from deepdft.models.upgrades import FORMAT
from deepdft.training import train
from deepdft.training.trainer import STATE
from tests.training.small_runs import small_config

_RUNS = {1: "earlier_run", 2: "run_2"}
_MODEL = {"architecture": "deepdft", "options": {"steps": 1, "channels": 4, "gaussian_width": 0.5}}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.mark.parametrize("number", range(1, FORMAT + 1))
def test_a_state_of_earlier_code_is_resumed(number, tmp_path):
    run, earlier = tmp_path / "run", Path(__file__).parent / _RUNS[number]
    assert json.loads((earlier / "best" / "model.json").read_text())["format"] == number
    shutil.copytree(earlier, run)
    (run / STATE).write_bytes(gzip.decompress((run / f"{STATE}.gz").read_bytes()))
    config = small_config(run, run / "archive.npz", model=_MODEL)
    result = train(config, resume=True)
    assert result.steps == 9
    found = load_file(run / "best" / "model.safetensors")
    expected = load_file(earlier / "uninterrupted.safetensors")
    assert list(found) == list(expected)
    begun = load_file(earlier / "best" / "model.safetensors")
    assert any(np.abs(begun[name] - expected[name]).max() > 1e-3 for name in expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
