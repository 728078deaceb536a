"""A run begun by the code before the rebuild (folder `earlier_run`) goes on to the same weights."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from deepdft.training import train
from deepdft.training.run import STATE
from tests.training.small_runs import small_config

_EARLIER = Path(__file__).parent / "earlier_run"
_MODEL = {"architecture": "deepdft", "options": {"steps": 1, "channels": 4, "gaussian_width": 0.5}}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_a_state_of_earlier_code_is_resumed(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(_EARLIER, run)
    (run / STATE).write_bytes(gzip.decompress((run / f"{STATE}.gz").read_bytes()))
    config = small_config(run, run / "archive.npz", model=_MODEL)
    result = train(config, resume=True)
    assert result.steps == 9
    found = load_file(run / "best" / "model.safetensors")
    expected = load_file(_EARLIER / "uninterrupted.safetensors")
    assert list(found) == list(expected)
    begun = load_file(_EARLIER / "best" / "model.safetensors")
    assert any(np.abs(begun[name] - expected[name]).max() > 1e-3 for name in expected)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-6, err_msg=name)
