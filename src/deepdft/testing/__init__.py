"""What every architecture has to satisfy, for the tests of packages that bring architectures::

    import pytest
    from deepdft.testing import Conformance

    @pytest.mark.parametrize("architecture", ["mine"])
    class TestMine(Conformance):
        pass

Small networks have the sizes of `deepdft.testing.networks.SMALL`, of those options that an
architecture has; the fixture `network` gives one. Needs the extras `train` and `test`.
"""

from deepdft.extras import import_extra, require_extra

require_extra("torch", "deepdft.testing")
import_extra("pytest", "deepdft.testing").register_assert_rewrite(
    "deepdft.testing.derivatives",
    "deepdft.testing.evaluation",
    "deepdft.testing.learning",
    "deepdft.testing.symmetry",
)

from deepdft.testing.conformance import Conformance  # noqa: E402

__all__ = ["Conformance"]
