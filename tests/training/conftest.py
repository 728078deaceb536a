"""Data for training runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.small_data import write_archive


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six small molecules, and a split beside them: four to train on, two to validate on."""
    folder = tmp_path_factory.mktemp("training")
    (folder / "split.json").write_text('{"train": [10, 11, 12, 13], "validation": [14, 15]}')
    return write_archive(folder / "six.npz", ["H2O", "CO", "CH4", "H2O", "CO", "CH4"])
