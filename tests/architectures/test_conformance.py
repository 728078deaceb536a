"""Every registered architecture against the conformance suite."""

from __future__ import annotations

import pytest

from deepdft.testing import Conformance
from deepdft.testing.networks import PACKAGED


@pytest.mark.parametrize("architecture", PACKAGED)
class TestConformance(Conformance):
    """One run of the suite for each architecture."""


def test_the_architectures_that_come_with_the_package_are_registered():
    assert "deepdft" in PACKAGED
