"""Parts that hang together, against SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from deepdft.geometry.connections import connected_parts


@pytest.mark.parametrize("pairs", [0, 1, 40, 100, 150])
def test_parts_are_those_of_scipy(pairs):
    first, second = np.random.default_rng(pairs).integers(100, size=(2, pairs))
    graph = coo_array((np.ones(pairs), (first, second)), shape=(100, 100))
    expected = connected_components(graph, directed=False)[1]
    np.testing.assert_array_equal(connected_parts(100, first, second), expected)


def test_a_long_chain_is_one_part():
    order = np.random.default_rng(0).permutation(5000)
    assert not connected_parts(5000, order[:-1], order[1:]).any()
