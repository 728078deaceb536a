"""The first compilation is told of, and only that."""

from __future__ import annotations

import numba

from deepdft.kernels.announcement import told_of_compilation


def test_told_once_and_only_where_something_is_compiled():
    @numba.njit
    def doubled(x):
        return 2 * x

    told: list[str] = []
    with told_of_compilation(lambda: told.append("compiling")):
        assert told == []
        assert doubled(3) == 6
        assert told == ["compiling"]
        assert doubled(1.5) == 3.0
    assert told == ["compiling"]
    with told_of_compilation(lambda: told.append("again")):
        assert doubled(4) == 8
    assert told == ["compiling"]
