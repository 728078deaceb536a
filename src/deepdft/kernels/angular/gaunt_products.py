"""Products of spherical tensors with Gaunt coefficients.

``out[n, k, c] = sum over i and j of G[i, j, k] left[n, i, c] right[n, j, c]``

At degree 4 one coefficient in fourteen is not zero. On a CPU one compiled loop over those replaces
arrays of (atoms, M * M, channels), which took most of an encoder's time.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepdft.compilation import FUSED, compiled
from deepdft.kernels.angular.harmonics import harmonics


@lru_cache
def gaunt_coefficients(largest: int) -> NDArray[np.float64]:
    """Return the coefficients that couple two tensors to a third, (M, M, M).

    ``G[i, j, k]`` is proportional to the integral of the product of three real spherical harmonics
    over the sphere, which vanishes unless the sum of their degrees is even: no pseudotensors
    arise. Every combination of three degrees is scaled so that the squares of its coefficients
    sum to 2 l_k + 1 over the product of the other two numbers of components: unit tensors give
    results of order one. The integral is exact (Gauss-Legendre in z, equidistant in the angle).
    """
    order = 2 * largest + 2
    heights, weights = np.polynomial.legendre.leggauss(order)
    angles = np.arange(2 * order) * np.pi / order
    z = np.repeat(heights, len(angles))
    angle = np.tile(angles, order)
    radius = np.sqrt(1 - z**2)
    values = harmonics(radius * np.cos(angle), radius * np.sin(angle), z, largest).T
    weight = np.repeat(weights, len(angles)) / (2 * len(angles))
    result: NDArray[np.float64] = np.einsum("q,qi,qj,qk->ijk", weight, values, values, values)
    result[np.abs(result) < 1e-12] = 0.0
    of_degree = [slice(d**2, (d + 1) ** 2) for d in range(largest + 1)]
    for i, first in enumerate(of_degree):
        for j, second in enumerate(of_degree):
            for k, third in enumerate(of_degree):
                block = result[first, second, third]
                size = float((block**2).sum())
                if size > 0.0:
                    block *= math.sqrt((2 * k + 1) / ((2 * i + 1) * (2 * j + 1) * size))
    return result


class GauntTerms:
    """Gaunt coefficients as a matrix and as a list of those that are not zero.

    Args:
        coefficients: G, (M, M, M).

    Attributes:
        indices: (terms, 3) int32, i, j and k of every coefficient that is not zero.
        values: (terms,) float64.
        matrix: (M, M * M) float64, by k and then by i and j.
    """

    def __init__(self, coefficients: Any) -> None:
        first, second, third = np.nonzero(coefficients)
        # By result: it stays in registers or the nearest cache while its terms are added.
        order = np.lexsort((second, first, third))
        self.indices = np.stack((first, second, third), axis=1)[order].astype(np.int32)
        self.values = np.ascontiguousarray(coefficients[tuple(self.indices.T)])
        self.matrix = np.ascontiguousarray(coefficients.reshape(-1, coefficients.shape[2]).T)


@compiled(fast=FUSED)
def add_gaunt_product(left: Any, right: Any, indices: Any, values: Any, out: Any) -> None:
    channels = left.shape[2]
    for n in range(left.shape[0]):
        for t in range(len(values)):
            i, j, k = indices[t, 0], indices[t, 1], indices[t, 2]
            value = values[t]
            for c in range(channels):
                out[n, k, c] += value * (left[n, i, c] * right[n, j, c])


@compiled(fast=FUSED)
def add_gaunt_adjoint(
    left: Any, right: Any, indices: Any, values: Any, gradient: Any, to_left: Any, to_right: Any
) -> None:
    channels = left.shape[2]
    for n in range(left.shape[0]):
        for t in range(len(values)):
            i, j, k = indices[t, 0], indices[t, 1], indices[t, 2]
            value = values[t]
            # One array written in each loop: more would defeat vectorisation.
            for c in range(channels):
                to_left[n, i, c] += value * (gradient[n, k, c] * right[n, j, c])
            for c in range(channels):
                to_right[n, j, c] += value * (gradient[n, k, c] * left[n, i, c])
