"""Rules for averages over the unit sphere."""

from __future__ import annotations

import numpy as np
import pytest

from deepdft.geometry.spheres import sphere_rule, spread_rotations


def average_of_monomial(i: int, j: int, k: int) -> float:
    """Return the average of x^i y^j z^k over the unit sphere."""
    if i % 2 or j % 2 or k % 2:
        return 0.0
    odd = [np.prod(np.arange(n - 1, 0, -2, dtype=float)) for n in (i, j, k)]
    return float(np.prod(odd) / np.prod(np.arange(i + j + k + 1, 0, -2, dtype=float)))


@pytest.mark.parametrize(("degree", "count"), [(7, 26), (11, 50), (15, 86)])
def test_polynomials_up_to_the_degree_are_exact(degree, count):
    points, weights = sphere_rule(degree)
    assert len(points) == count
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, rtol=1e-14)
    for i in range(degree + 1):
        for j in range(degree + 1 - i):
            for k in range(degree + 1 - i - j):
                found = weights @ np.prod(points ** np.array([i, j, k]), axis=1)
                assert found == pytest.approx(average_of_monomial(i, j, k), abs=1e-14)
    beyond = weights @ points[:, 0] ** (degree + 1)
    assert abs(beyond - average_of_monomial(degree + 1, 0, 0)) > 1e-6


def test_rotations_are_rotations_and_differ():
    rotations = spread_rotations(20)
    unity = np.einsum("nij,nkj->nik", rotations, rotations)
    np.testing.assert_allclose(unity, np.broadcast_to(np.eye(3), (20, 3, 3)), atol=1e-14)
    np.testing.assert_allclose(np.linalg.det(rotations), 1.0)
    traces = np.einsum("nij,mij->nm", rotations, rotations) - 4 * np.eye(20)
    # The angle between any two is more than 20 degrees.
    assert traces.max() < 1 + 2 * np.cos(np.radians(20))
