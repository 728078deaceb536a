"""Basis functions at points, as matrices of them and of points, and their weighted sums."""

from __future__ import annotations

from typing import Any

from deepdft.compilation import FUSED, compiled
from deepdft.kernels.gaussians.densities import fill_basis, place_points, select_sites
from deepdft.kernels.gaussians.shells import TILE_POINTS


@compiled(fast=FUSED, counts_arrays=False)
def fill_basis_functions(places: Any, basis: Any, scratch: Any, rows: Any, out: Any) -> int:
    """Evaluate the basis functions that reach points.

    Args:
        places: `Places`, of points.
        basis: `Basis`.
        scratch: what `scratch` returns.
        rows: (rows of the basis,) gets the row of each function that reaches the points.
        out: (1, 4 or 10, rows, n) gets these functions with their derivatives, one after another.

    Returns:
        How many there are.
    """
    components, points, targets = out.shape[0], out.shape[2], scratch.targets
    places_of_rows = scratch.places
    places_of_rows[:] = -1
    found = 0
    for number in range((points + TILE_POINTS - 1) // TILE_POINTS):
        size, planes = place_points(number, places, scratch)
        count = select_sites(scratch.points, places.steps, planes, basis, scratch)
        depth = fill_basis(count, 0, places.upright, basis, components, scratch)
        for d in range(depth):
            row = scratch.rows[d]
            place = places_of_rows[row]
            if place < 0:
                place = places_of_rows[row] = found
                rows[found] = row
                found += 1
                for c in range(components):
                    for p in range(points):
                        out[c, place, p] = 0.0
            for c in range(components):
                target, values = out[c, place], scratch.functions[c, d]
                for t in range(size):
                    target[targets[t]] = values[t]
    return found


@compiled(fast=FUSED, counts_arrays=False)
def weighted_sum(functions: Any, weights: Any, out: Any) -> None:
    """Sum the components of functions (components, rows, n) times weights of points.

    Args:
        functions: with their derivatives.
        weights: (components or more, n).
        out: (rows, n) gets the sum.
    """
    for row in range(out.shape[0]):
        target, values, factors = out[row], functions[0, row], weights[0]
        for p in range(target.shape[0]):
            target[p] = values[p] * factors[p]
        for c in range(1, functions.shape[0]):
            values, factors = functions[c, row], weights[c]
            for p in range(target.shape[0]):
                target[p] += values[p] * factors[p]
