"""Softened spherical harmonics of edges with their first and second derivatives by position.

The functions of `deepdft.kernels.angular.harmonics` are polynomials of ``v = r / sqrt(d^2 + a^2)``.
The jets of v are written out; those of the harmonics follow by the product rule, step by step.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import compiled, inner
from deepdft.kernels.jets import FACTORS, PAIRS

_LENGTH = 32
"""Edges treated together: loops over them become vector instructions."""

_DIRECTIONS = PAIRS[3]


@compiled
def fill_harmonic_jets(
    factors: Any, count: int, softness: float, parents: Any, axes: Any, weights: Any, out: Any
) -> None:
    """Compute the jets of the harmonics of edges.

    Args:
        factors: of the edges, see `deepdft.kernels.edges.jet_edges.JetEdges`.
        count: number of edges.
        softness: a, Å.
        parents, axes, weights: see `deepdft.kernels.angular.harmonics.HarmonicSteps`.
        out: (edges * functions * 10,) float32, by edge, function and component.
    """
    functions = 1 + len(parents)
    vectors = np.empty((4, 10, _LENGTH))
    jets = np.zeros((functions, 10, _LENGTH))
    jets[0, 0] = 1.0
    other = np.empty((10, _LENGTH))
    for first in range(0, count, _LENGTH):
        length = min(_LENGTH, count - first)
        _vector_jets(factors, first, length, softness, vectors)
        vectors[3] = 0.0
        for axis in range(3):
            _multiply(vectors[axis], vectors[axis], other)
            vectors[3] += other
        for step in range(functions - 1):
            jet = jets[1 + step]
            _multiply(jets[parents[step, 0]], vectors[axes[step, 0]], jet)
            jet *= weights[step, 0]
            if weights[step, 1] != 0.0:
                _multiply(jets[parents[step, 1]], vectors[axes[step, 1]], other)
                other *= weights[step, 1]
                jet += other
        for function in range(functions):
            for component in range(10):
                for e in range(length):
                    place = ((first + e) * functions + function) * 10 + component
                    out[place] = jets[function, component, e]


@inner
def _vector_jets(factors: Any, first: int, length: int, softness: float, out: Any) -> None:
    """Jets of ``v = s r`` with ``s = (d^2 + a^2)^(-1/2)``."""
    r = np.zeros((3, _LENGTH))
    for e in range(length):
        for i in range(3):
            r[i, e] = factors[(first + e) * FACTORS + 18 + i]
    square = r[0] * r[0] + r[1] * r[1] + r[2] * r[2] + softness * softness
    for e in range(length, _LENGTH):
        square[e] = 1.0
    s = 1.0 / np.sqrt(square)
    cube = s / square
    fifth = 3.0 * cube / square
    for i in range(3):
        out[i, 0] = s * r[i]
        for j in range(3):
            out[i, 1 + j] = -cube * r[i] * r[j]
        out[i, 1 + i] += s
        for place, (j, k) in enumerate(_DIRECTIONS):
            out[i, 4 + place] = fifth * r[i] * r[j] * r[k]
            if i == j:
                out[i, 4 + place] -= cube * r[k]
            if i == k:
                out[i, 4 + place] -= cube * r[j]
            if j == k:
                out[i, 4 + place] -= cube * r[i]


@inner
def _multiply(x: Any, y: Any, out: Any) -> None:
    """Jets of a product."""
    out[0] = x[0] * y[0]
    for i in range(3):
        out[1 + i] = x[0] * y[1 + i] + x[1 + i] * y[0]
    for place, (i, k) in enumerate(_DIRECTIONS):
        out[4 + place] = (
            x[0] * y[4 + place] + x[4 + place] * y[0]
            + x[1 + i] * y[1 + k] + x[1 + k] * y[1 + i]
        )  # fmt: skip
