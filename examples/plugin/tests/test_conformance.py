"""The architecture passes what every architecture has to pass."""

from __future__ import annotations

import pytest

from deepdft.architectures import architectures
from deepdft.testing import Conformance


def test_the_package_is_found():
    assert "additive" in architectures()


@pytest.mark.parametrize("architecture", ["additive"])
class TestAdditive(Conformance):
    """One run of the suite."""
