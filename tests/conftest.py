"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from ase import Atoms

from deepdft.testing.structures import STRUCTURES

pytest_plugins = ["tests.durations", "tests.thorough"]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=STRUCTURES)
def structure(request: pytest.FixtureRequest) -> Atoms:
    """Every small structure in turn."""
    return STRUCTURES[request.param]()


@pytest.fixture
def double_precision() -> Iterator[None]:
    """New networks and tensors are float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
