"""Every registered architecture against the conformance suite."""

from __future__ import annotations

import pytest

from tests.architectures.conformance import PACKAGED, Conformance


@pytest.mark.parametrize("architecture", PACKAGED)
class TestConformance(Conformance):
    """One run of the suite for each architecture."""


def test_the_architectures_that_come_with_the_package_are_registered():
    assert "deepdft" in PACKAGED
