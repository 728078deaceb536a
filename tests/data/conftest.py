"""A small training store."""

from __future__ import annotations

import pytest

from deepdft.data.training_store_writer import TrainingStoreWriter
from tests.data.small_stores import some_densities


@pytest.fixture
def store_path(tmp_path):
    path = tmp_path / "some.store"
    with TrainingStoreWriter(path) as writer:
        for name, density in some_densities().items():
            writer.append(name, density)
    return path
