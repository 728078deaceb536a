"""Softened spherical harmonics of edges with their gradients by position.

A function Y of `deepdft.kernels.angular.harmonics` is a polynomial of ``v = s r``, with
``s = (d^2 + a^2)^(-1/2)``, all of whose terms have the degree l. Hence ``v . dY/dv = l Y``, and

    dY/dr = s (dY/dv - l Y v).

Derivatives by v follow the steps from l to l + 1, as the functions do.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import FUSED, compiled, inner
from deepdft.kernels.jets import FACTORS

_LENGTH = 32
"""Edges treated together: loops over them become vector instructions."""


@compiled(fast=FUSED)
def fill_harmonic_gradients(
    factors: Any, count: int, softness: float, parents: Any, axes: Any, weights: Any, out: Any
) -> None:
    """Compute the harmonics of edges and their gradients.

    Args:
        factors: of the edges, see `deepdft.kernels.edges.jet_edges.JetEdges`.
        count: number of edges.
        softness: a, Å.
        parents, axes, weights: see `deepdft.kernels.angular.harmonics.HarmonicSteps`.
        out: (edges * functions * 4,) float32, by edge, function and component.
    """
    functions = 1 + len(parents)
    vectors, scale = np.empty((4, _LENGTH)), np.empty(_LENGTH)
    found = np.zeros((functions, 4, _LENGTH))
    found[0, 0] = 1.0
    for first in range(0, count, _LENGTH):
        for e in range(_LENGTH):
            place = min(first + e, count - 1) * FACTORS + 18
            a, b, c = factors[place], factors[place + 1], factors[place + 2]
            factor = 1.0 / np.sqrt(a * a + b * b + c * c + softness * softness)
            x, y, z = a * factor, b * factor, c * factor
            vectors[0, e], vectors[1, e], vectors[2, e] = x, y, z
            vectors[3, e], scale[e] = x * x + y * y + z * z, factor
        for step in range(functions - 1):
            found[1 + step] = 0.0
            for part in range(2):
                if weights[step, part] != 0.0:
                    _add_product(
                        found[parents[step, part]], axes[step, part], vectors,
                        weights[step, part], found[1 + step],
                    )  # fmt: skip
        momentum = 0
        for function in range(functions):
            if function == (momentum + 1) * (momentum + 1):
                momentum += 1
            one = found[function]
            for e in range(min(_LENGTH, count - first)):
                place = ((first + e) * functions + function) * 4
                out[place] = one[0, e]
                for i in range(3):
                    rest = one[1 + i, e] - momentum * one[0, e] * vectors[i, e]
                    out[place + 1 + i] = scale[e] * rest


@inner(fast=FUSED)
def _add_product(function: Any, axis: int, vectors: Any, weight: float, out: Any) -> None:
    """Add a function times a component of v, or times v^2 (axis 3), with derivatives by v."""
    factor = vectors[axis]
    for i in range(4):
        for e in range(_LENGTH):
            out[i, e] += weight * factor[e] * function[i, e]
    if axis < 3:
        for e in range(_LENGTH):
            out[1 + axis, e] += weight * function[0, e]
        return
    for i in range(3):
        for e in range(_LENGTH):
            out[1 + i, e] += 2.0 * weight * vectors[i, e] * function[0, e]
