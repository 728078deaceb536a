"""Radial tables against analytic functions."""

from __future__ import annotations

import numpy as np
from scipy.interpolate import CubicSpline

from deepdft.fields.atoms.tabulation import (
    cubic_polynomials,
    interval_polynomials,
    switch_off,
)


def test_quintic_matches_a_quintic_exactly():
    coefficients = np.random.default_rng(0).normal(size=6)
    polynomial = np.polynomial.Polynomial(coefficients)
    radii = np.arange(5) * 0.4
    knots = np.stack(
        [polynomial.deriv(n)(radii) if n else polynomial(radii) for n in range(3)], axis=1
    )
    t = np.linspace(0, 1, 7)
    values = interval_polynomials(knots, 0.4) @ t[None, :] ** np.arange(6)[:, None]
    np.testing.assert_allclose(values, polynomial(radii[:-1, None] + 0.4 * t), atol=1e-12)


def test_error_falls_with_the_sixth_power_of_the_spacing():
    errors = []
    for spacing in (0.1, 0.05):
        radii = np.arange(0, 3.05, spacing)
        f = np.exp(-(radii**2))
        knots = np.stack([f, -2 * radii * f, (4 * radii**2 - 2) * f], axis=1)
        middle = interval_polynomials(knots, spacing) @ 0.5 ** np.arange(6)
        errors.append(np.abs(middle - np.exp(-((radii[:-1] + spacing / 2) ** 2))).max())
    assert 50 < errors[0] / errors[1] < 80


def test_switch_ends_with_its_slope_and_curvature():
    radii = np.linspace(3.5, 5.5, 4001)
    f = np.stack([np.exp(-radii), -np.exp(-radii), np.exp(-radii)], axis=1)
    switched = switch_off(radii, f, 5.0, 1.0)
    assert np.array_equal(switched[radii <= 4], f[radii <= 4])
    assert not switched[radii >= 5].any()
    step = radii[1] - radii[0]
    for order in (0, 1):
        slope = np.gradient(switched[:, order], step)
        np.testing.assert_allclose(slope[1:-1], switched[1:-1, order + 1], atol=2e-3)
    just_before = switch_off(np.array([5 - 1e-6]), f[:1], 5.0, 1.0)
    assert np.abs(just_before).max() < 1e-4


def test_cubic_polynomials_are_those_of_scipy():
    values = np.random.default_rng(0).normal(size=(3, 9))
    expected = CubicSpline(np.arange(9), values, axis=1).c[::-1].transpose(2, 1, 0)
    np.testing.assert_allclose(cubic_polynomials(values), expected, 0, 1e-12)
