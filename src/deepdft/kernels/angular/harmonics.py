"""Softened spherical harmonics: directions of edges, smooth at the sender's place.

The direction from an atom to a point is undefined where they coincide. Here it is replaced by
``v = r / sqrt(d^2 + a^2)``, and ``r^l Y_lm`` by the same polynomial of v: a smooth function of the
position, zero at the atom for l > 0, that far from it is the spherical harmonic. Functions are
normalised so that the squares of one l sum to 1 for a unit vector. For each l they come in the
order m = -l..l, but x, y, z for l = 1.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from deepdft.arrays import Array
from deepdft.compilation import FUSED, compiled
from deepdft.kernels.angular.solid_harmonics import (
    angular_functions,
)

_LENGTH = 128
"""Edges treated together: loops over them become vector instructions."""


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


class HarmonicSteps(NamedTuple):
    """The harmonics of l = 1..largest, each from two earlier ones.

    With ``u = (x, y, z, x^2 + y^2 + z^2)``, function i + 1 is ``weights[i, 0] * u[axes[i, 0]] *
    function[parents[i, 0]] + weights[i, 1] * u[axes[i, 1]] * function[parents[i, 1]]``.

    Attributes:
        parents, axes: (functions - 1, 2).
        weights: (functions - 1, 2).
    """

    parents: Array
    axes: Array
    weights: Array


@cache
def harmonic_steps(largest: int) -> HarmonicSteps:
    """Return the harmonics up to an angular momentum as steps from l to l + 1.

    These are the recurrences of Helgaker, Jørgensen and Olsen, Molecular Electronic-Structure
    Theory, section 6.4.
    """
    x, y, z, square = range(4)
    steps: dict[int, tuple[tuple[int, int, float], tuple[int, int, float]]] = {}
    for l in range(largest):  # noqa: E741 - its name everywhere
        factor = math.sqrt((2 if l == 0 else 1) * (2 * l + 1) / (2 * l + 2))
        top, bottom = _place(l, l), _place(l, -l)
        other = 0.0 if l == 0 else factor
        steps[_place(l + 1, l + 1)] = (top, x, factor), (bottom, y, -other)
        steps[_place(l + 1, -l - 1)] = (top, y, factor), (bottom, x, other)
        for m in range(-l, l + 1):
            norm = math.sqrt((l + m + 1) * (l - m + 1))
            before = _place(l - 1, m) if abs(m) < l else 0
            steps[_place(l + 1, m)] = (
                (_place(l, m), z, (2 * l + 1) / norm),
                (before, square, -math.sqrt((l + m) * (l - m)) / norm),
            )
    ordered = [steps[place] for place in sorted(steps)]
    return HarmonicSteps(
        np.array([[parent for parent, _, _ in step] for step in ordered], np.int64).reshape(-1, 2),
        np.array([[axis for _, axis, _ in step] for step in ordered], np.int64).reshape(-1, 2),
        np.array([[weight for _, _, weight in step] for step in ordered]).reshape(-1, 2),
    )


def _place(momentum: int, m: int) -> int:
    """Return where a function stands: by m, but x, y, z for l = 1."""
    if momentum == 1:
        return {1: 1, -1: 2, 0: 3}[m]
    return momentum * (momentum + 1) + m


def edge_harmonics(vectors: NDArray[np.float64], largest: int, dtype: Any) -> NDArray[Any]:
    """Return the functions of directions, without softness.

    Args:
        vectors: (edges, 3) Å.
        largest: largest angular momentum.
        dtype: floating type of the result.

    Returns:
        (edges, (largest + 1)^2).
    """
    x, y, z = vectors.T.copy()
    out = np.empty((harmonic_count(largest), len(vectors)), dtype)
    fill_soft_harmonics(x, y, z, len(x), 0.0, *harmonic_steps(largest), out.reshape(-1), len(x))
    return np.ascontiguousarray(out.T)


@compiled(fast=FUSED)
def fill_soft_harmonics(
    x: Any, y: Any, z: Any, count: int, softness: float, parents: Any, axes: Any, weights: Any,
    out: Any, stride: int,
) -> None:  # fmt: skip
    """Compute the softened functions for the first `count` edges.

    Args:
        x, y, z: (edges,) float64 components of the vectors, Å.
        count: number of edges.
        softness: a, Å.
        parents, axes, weights: see `HarmonicSteps`.
        out: (functions * stride,); function i of edge e goes to i * stride + e.
        stride: distance between functions.
    """
    components = np.zeros((4, _LENGTH))
    functions = np.ones((1 + len(parents), _LENGTH))
    for first in range(0, count, _LENGTH):
        length = min(_LENGTH, count - first)
        for e in range(length):
            a, b, c = x[first + e], y[first + e], z[first + e]
            square = a * a + b * b + c * c
            factor = 1.0 / np.sqrt(square + softness * softness)
            components[0, e], components[1, e], components[2, e] = (
                a * factor,
                b * factor,
                c * factor,
            )
            components[3, e] = square * factor * factor
            out[first + e] = 1.0
        for step in range(len(parents)):
            one, other = functions[parents[step, 0]], functions[parents[step, 1]]
            beside_one, beside_other = components[axes[step, 0]], components[axes[step, 1]]
            result, start = functions[1 + step], (1 + step) * stride + first
            w, v = weights[step, 0], weights[step, 1]
            for e in range(_LENGTH):
                result[e] = w * beside_one[e] * one[e] + v * beside_other[e] * other[e]
            for e in range(length):
                out[start + e] = result[e]
