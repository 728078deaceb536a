"""What the paper's tests share with the product's, in whose checkout they run."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from tests.commands import run, small_model
from tests.conftest import _one_thread, pytest_plugins

__all__ = ["_one_thread", "pytest_plugins", "run", "small_model"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what is missing where deepdft cannot find the paper's commands."""
    if "reproduce" not in entry_points(group="deepdft.commands").names:
        raise pytest.UsageError(
            "The paper's package is not installed; pip install --no-deps -e paper"
        )
