"""Softened spherical harmonics: directions of edges, smooth at the sender's place.

The direction from an atom to a point is undefined where they coincide. Here it is replaced by
``v = r / sqrt(d^2 + a^2)``, and ``r^l Y_lm`` by the same polynomial of v: a smooth function of the
position, zero at the atom for l > 0, that far from it is the spherical harmonic. Functions are
normalised so that the squares of one l sum to 1 for a unit vector. For each l they come in the
order m = -l..l, but x, y, z for l = 1.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from deepdft.kernels.angular.solid_harmonics import angular_functions

LARGEST_MOMENTUM = 4
"""Largest angular momentum of the compiled form."""

_S3, _S5, _S15, _S35 = math.sqrt(3), math.sqrt(5), math.sqrt(15), math.sqrt(35)
_S5_8, _S3_8, _S35_8 = math.sqrt(5 / 8), math.sqrt(3 / 8), math.sqrt(35 / 8)


def harmonic_count(largest: int) -> int:
    """Return the number of functions up to an angular momentum."""
    return (largest + 1) ** 2


def harmonics(x: Any, y: Any, z: Any, largest: int) -> Any:
    """Return the functions of l = 0..largest at vectors (x, y, z), each of x's shape.

    The components are arrays of NumPy, or tensors of torch where they come from there.

    Returns:
        ((largest + 1)^2, ...) an array, or a list of tensors.
    """
    functions = []
    for momentum in range(largest + 1):
        norm = math.sqrt(4 * math.pi / (2 * momentum + 1))
        functions += [norm * f for f in angular_functions(momentum, False, x, y, z)]
    return np.stack(functions) if isinstance(x, np.ndarray) else functions


def edge_harmonics(vectors: NDArray[np.float64], largest: int, dtype: Any) -> NDArray[Any]:
    """Return the functions of directions, without softness, for up to LARGEST_MOMENTUM.

    Args:
        vectors: (edges, 3) Å.
        largest: largest angular momentum.
        dtype: floating type of the result.

    Returns:
        (edges, (largest + 1)^2).
    """
    x, y, z = vectors.T.copy()
    out = np.empty((harmonic_count(largest), len(vectors)), dtype)
    fill_soft_harmonics(x, y, z, len(x), largest, 0.0, out.reshape(-1), len(x))
    return np.ascontiguousarray(out.T)


@numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def fill_soft_harmonics(
    x: Any, y: Any, z: Any, count: int, largest: int, softness: float, out: Any, stride: int
) -> None:
    """Compute the softened functions for the first `count` edges, up to LARGEST_MOMENTUM.

    Args:
        x, y, z: (edges,) float64 components of the vectors, Å; overwritten.
        count: number of edges.
        largest: largest angular momentum.
        softness: a, Å.
        out: ((largest + 1)^2 * stride,); function i of edge e goes to i * stride + e.
        stride: distance between functions.
    """
    added = softness * softness
    for e in range(count):
        factor = 1.0 / np.sqrt(x[e] * x[e] + y[e] * y[e] + z[e] * z[e] + added)
        x[e] *= factor
        y[e] *= factor
        z[e] *= factor
        out[e] = 1.0
    if largest >= 1:
        for e in range(count):
            out[stride + e] = x[e]
            out[2 * stride + e] = y[e]
            out[3 * stride + e] = z[e]
    if largest >= 2:
        _fill_second(x, y, z, count, out, stride)
    if largest >= 3:
        _fill_third(x, y, z, count, out, stride)
    if largest >= 4:
        _fill_fourth(x, y, z, count, out, stride)


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _fill_second(x: Any, y: Any, z: Any, count: int, out: Any, stride: int) -> None:
    for e in range(count):
        a, b, c = x[e], y[e], z[e]
        out[4 * stride + e] = _S3 * a * b
        out[5 * stride + e] = _S3 * b * c
        out[6 * stride + e] = 0.5 * (2.0 * c * c - a * a - b * b)
        out[7 * stride + e] = _S3 * a * c
        out[8 * stride + e] = 0.5 * _S3 * (a * a - b * b)


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _fill_third(x: Any, y: Any, z: Any, count: int, out: Any, stride: int) -> None:
    for e in range(count):
        a, b, c = x[e], y[e], z[e]
        aa, bb, cc = a * a, b * b, c * c
        out[9 * stride + e] = _S5_8 * b * (3.0 * aa - bb)
        out[10 * stride + e] = _S15 * a * b * c
        out[11 * stride + e] = _S3_8 * b * (4.0 * cc - aa - bb)
        out[12 * stride + e] = 0.5 * c * (2.0 * cc - 3.0 * aa - 3.0 * bb)
        out[13 * stride + e] = _S3_8 * a * (4.0 * cc - aa - bb)
        out[14 * stride + e] = 0.5 * _S15 * c * (aa - bb)
        out[15 * stride + e] = _S5_8 * a * (aa - 3.0 * bb)


@numba.njit(nogil=True, error_model="numpy", fastmath={"contract", "nsz"})
def _fill_fourth(x: Any, y: Any, z: Any, count: int, out: Any, stride: int) -> None:
    for e in range(count):
        a, b, c = x[e], y[e], z[e]
        aa, bb, cc = a * a, b * b, c * c
        rr = aa + bb + cc
        out[16 * stride + e] = 0.5 * _S35 * a * b * (aa - bb)
        out[17 * stride + e] = _S35_8 * b * c * (3.0 * aa - bb)
        out[18 * stride + e] = 0.5 * _S5 * a * b * (7.0 * cc - rr)
        out[19 * stride + e] = _S5_8 * b * c * (7.0 * cc - 3.0 * rr)
        out[20 * stride + e] = (35.0 * cc * cc - 30.0 * cc * rr + 3.0 * rr * rr) / 8.0
        out[21 * stride + e] = _S5_8 * a * c * (7.0 * cc - 3.0 * rr)
        out[22 * stride + e] = 0.25 * _S5 * (aa - bb) * (7.0 * cc - rr)
        out[23 * stride + e] = _S35_8 * a * c * (aa - 3.0 * bb)
        out[24 * stride + e] = 0.125 * _S35 * (aa * (aa - 3.0 * bb) - bb * (3.0 * aa - bb))
