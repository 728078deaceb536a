"""`deepdft demo`."""

from __future__ import annotations

import re

import pytest
from PIL import Image


@pytest.mark.thorough
def test_the_demonstration_predicts_compares_and_draws(run, tmp_path):
    result = run("demo", "shown")
    assert result.code == 0, result.error
    error = re.search(r"^eps_mae +([\d.]+) % against PBE", result.output, re.M)
    assert error is not None
    assert 0.02 < float(error[1]) < 0.3
    written = sorted(path.name for path in (tmp_path / "shown").iterdir())
    assert written == ["C6H9NO.cube", "C6H9NO.html", "C6H9NO.png"]
    with Image.open(tmp_path / "shown" / "C6H9NO.png") as picture:
        assert picture.size[0] == 1400
