"""Compiled loops over free atoms near a block of points."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.compilation import compiled, inner
from deepdft.geometry.neighbours import ON_NUCLEUS

UNIT = 2.0**-40
"""Populations are kept as whole multiples of this, so that sums have no order."""


@inner
def _density(polynomials: Any, species: int, root: float) -> Any:
    """Return the density of a species at a distance whose root counts intervals."""
    interval = min(np.int64(root), polynomials.shape[1] - 1)
    t = root - interval
    c = polynomials[species, interval]
    return np.exp(c[0] + t * (c[1] + t * (c[2] + t * c[3])))


@compiled
def share_out(
    values: Any, points: Any, species: Any, image_atoms: Any, image_positions: Any,
    polynomials: Any, step: float, reach: Any,
) -> Any:  # fmt: skip
    """Return each image's share of values (n,) at points (n, 3), Å, as whole multiples of `UNIT`.

    What is shared out at points that no atom reaches belongs to none.
    """
    near = np.empty(len(image_atoms))
    which = np.empty(len(image_atoms), np.int64)
    sums = np.zeros(len(image_atoms))
    for p in range(points.shape[0]):
        total, count = 0.0, 0
        for a in range(len(image_atoms)):
            kind = species[image_atoms[a]]
            square = 0.0
            for i in range(3):
                square += (points[p, i] - image_positions[a, i]) ** 2
            if square >= reach[kind] * reach[kind]:
                continue
            near[count] = _density(polynomials, kind, np.sqrt(np.sqrt(square)) / step)
            which[count] = a
            total += near[count]
            count += 1
        if total > 0.0:
            for c in range(count):
                sums[which[c]] += values[p] * near[c] / total
    shares = np.empty(len(image_atoms), np.int64)
    for a in range(len(image_atoms)):
        shares[a] = np.int64(np.rint(sums[a] / UNIT))
    return shares


@compiled
def add_cores(
    density: Any, gradient: Any, hessian: Any, points: Any, species: Any, image_atoms: Any,
    image_positions: Any, polynomials: Any, step: float, reach: Any,
) -> None:  # fmt: skip
    """Add densities of cores at points (n, 3), Å, with derivatives where these are not empty.

    At a nucleus, where a core has a cusp, its gradient counts as zero and its Hessian is left out.
    """
    for p in range(points.shape[0]):
        x = np.empty(3)
        for a in range(len(image_atoms)):
            kind = species[image_atoms[a]]
            if kind < 0:
                continue
            square = 0.0
            for i in range(3):
                x[i] = points[p, i] - image_positions[a, i]
                square += x[i] * x[i]
            if square >= reach[kind] * reach[kind]:
                continue
            distance = np.sqrt(square)
            root = np.sqrt(distance) / step
            interval = min(np.int64(root), polynomials.shape[1] - 1)
            t = root - interval
            c = polynomials[kind, interval]
            value = np.exp(c[0] + t * (c[1] + t * (c[2] + t * c[3])))
            density[p] += value
            if len(gradient) == 0 or distance < ON_NUCLEUS:
                continue
            # Derivatives of the logarithm by the scaled root, then by the distance.
            first = c[1] + t * (2.0 * c[2] + t * 3.0 * c[3])
            second = 2.0 * c[2] + 6.0 * t * c[3]
            by_distance = root / (2.0 * distance)
            slope = first * by_distance
            curvature = second * by_distance**2 - slope / (2.0 * distance)
            across = value * slope / distance
            along = (value * (curvature + slope * slope) - across) / square
            for i in range(3):
                gradient[p, i] += across * x[i]
            for i in range(3 * (len(hessian) > 0)):
                hessian[p, i, i] += across
                for j in range(3):
                    hessian[p, i, j] += along * x[i] * x[j]
