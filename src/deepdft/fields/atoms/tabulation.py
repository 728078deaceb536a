"""Radial functions as tables of value, slope and curvature at evenly spaced knots."""

from __future__ import annotations

import numpy as np

from deepdft.arrays import FloatArray


def switch_off(
    distances: FloatArray, function: FloatArray, cutoff: float, width: float
) -> FloatArray:
    """Return a function that goes to zero at the cutoff with its slope and curvature.

    The function is multiplied by ``1 - 10 u^3 + 15 u^4 - 6 u^5``, u from 0 to 1 over the last
    `width` before the cutoff.

    Args:
        distances: (n,) Å.
        function: (n, 3) value, slope and curvature at the distances.
        cutoff: where it vanishes, Å.
        width: over which it is switched off, Å.

    Returns:
        (n, 3) value, slope and curvature of the product.
    """
    u = np.clip((distances - (cutoff - width)) / width, 0, 1)
    switch = 1 - u**3 * (10 - 15 * u + 6 * u * u)
    slope = -30 * u**2 * (1 - u) ** 2 / width
    curvature = -60 * u * (1 - u) * (1 - 2 * u) / width**2
    f, df, ddf = function.T
    return np.stack(
        [f * switch, df * switch + f * slope, ddf * switch + 2 * df * slope + f * curvature], axis=1
    )


def interval_polynomials(knots: FloatArray, spacing: float) -> FloatArray:
    """Return the quintic of each interval that matches value, slope and curvature at both ends.

    Args:
        knots: (..., k, 3) value, slope and curvature at k knots.
        spacing: distance between knots.

    Returns:
        (..., k - 1, 6) coefficients of ``1, t, ..., t^5``, t from 0 to 1 across the interval.
    """
    scaled = knots * np.array([1, spacing, spacing**2 / 2])
    left, right = scaled[..., :-1, :], scaled[..., 1:, :]
    # What is left for t^3 (10 - 15 t + 6 t^2) and its kin to provide at t = 1.
    rest_value = right[..., 0] - left.sum(axis=-1)
    rest_slope = right[..., 1] - left[..., 1] - 2 * left[..., 2]
    rest_curvature = right[..., 2] - left[..., 2]
    higher = [
        10 * rest_value - 4 * rest_slope + rest_curvature,
        -15 * rest_value + 7 * rest_slope - 2 * rest_curvature,
        6 * rest_value - 3 * rest_slope + rest_curvature,
    ]
    result: FloatArray = np.concatenate([left, np.stack(higher, axis=-1)], axis=-1)
    return result


def cubic_polynomials(values: FloatArray) -> FloatArray:
    """Return the cubics of the spline through values at evenly spaced knots.

    The third derivative does not jump at the second and the last but one knot: SciPy's
    `CubicSpline`, whose import takes longer than a small prediction.

    Args:
        values: (..., k) at k >= 4 knots.

    Returns:
        (..., k - 1, 4) coefficients of ``1, t, t^2, t^3``, t from 0 to 1 across the interval.
    """
    count = values.shape[-1]
    matrix = 4.0 * np.eye(count) + np.eye(count, k=1) + np.eye(count, k=-1)
    matrix[0, :2] = matrix[-1, :-3:-1] = 1.0, 2.0
    right = np.empty_like(values)
    right[..., 1:-1] = 3.0 * (values[..., 2:] - values[..., :-2])
    right[..., 0] = values[..., :3] @ [-2.5, 2.0, 0.5]
    right[..., -1] = values[..., -3:] @ [-0.5, -2.0, 2.5]
    slopes = np.linalg.solve(matrix, right[..., None])[..., 0]
    rise, left, end = np.diff(values), slopes[..., :-1], slopes[..., 1:]
    parts = [values[..., :-1], left, 3.0 * rise - 2.0 * left - end, left + end - 2.0 * rise]
    return np.stack(parts, axis=-1)
