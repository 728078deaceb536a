"""What the paper's tests share with the product's, in whose checkout they run."""

from __future__ import annotations

from importlib.metadata import entry_points

import pytest
from tests.commands import run, small_model

__all__ = ["run", "small_model"]

pytest_plugins = ["tests.conftest"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say what is missing where deepdft cannot find the paper's commands."""
    if "reproduce" not in entry_points(group="deepdft.commands").names:
        raise pytest.UsageError(
            "The paper's package is not installed; pip install --no-deps -e paper"
        )
