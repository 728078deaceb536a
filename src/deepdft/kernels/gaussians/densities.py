"""Densities of orbitals at points and on boxes of grids, a tile of points at a time.

For each tile, the functions that reach it are evaluated, the orbitals are their product with the
coefficients, and the density is the sum of the orbitals' squares. On a grid whose axes are at right
angles an exponential is a product of one along the first axis and one in the plane of the others:
the latter is evaluated once for a block of planes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from deepdft.arrays import Array
from deepdft.compilation import FUSED, compiled, inner
from deepdft.kernels.gaussians.exponentials import fill_exponentials
from deepdft.kernels.gaussians.polynomials import COMPONENTS
from deepdft.kernels.gaussians.products import TILE_BYTES, TILE_ORBITALS, orbital_tile
from deepdft.kernels.gaussians.shells import TILE_POINTS, fill_functions
from deepdft.kernels.simd.vectors import address

_LARGEST_EXPONENT = 45.0
"""Exponentials of minus this count as zero: 3e-20."""


class Sites(NamedTuple):
    """Groups of shells in space; those of the same rows (periodic images) in succession.

    Attributes:
        groups: (sites,) group of shells.
        centres: (sites, 3) where its atom is, Å.
        rows: (sites,) first of its functions among the rows of the coefficients.
    """

    groups: Array
    centres: Array
    rows: Array


class Orbitals(NamedTuple):
    """Coefficients of orbitals, and how they are added up to densities.

    Attributes:
        coefficients: (tiles, rows, TILE_ORBITALS) of every function in each orbital.
        weights: (sets, tiles * TILE_ORBITALS) electrons in each orbital.
    """

    coefficients: Array
    weights: Array


class Basis(NamedTuple):
    """`ShellTables`, `Polynomials` and `Sites` of a structure."""

    shells: Any
    polynomials: Any
    sites: Any


class Places(NamedTuple):
    """Where densities are evaluated: at points, or on a box of a grid if there are none.

    Attributes:
        points: (n, 3) Å.
        order: (n,) order of the points, such that neighbours follow one another.
        origin: (3,) first point of the box, Å.
        steps: (3, 3) steps along the axes of a block: from plane to plane, and the two in the
            plane, Å.
        strides: (3,) distance of neighbours along these axes in the flat result.
        extent: (3,) points of the box along these axes.
        block: (3,) points of a block along them, the last two at most TILE_POINTS together.
        upright: (3,) unit vector from plane to plane if that is at right angles to the planes,
            else zero.
    """

    points: Array
    order: Array
    origin: Array
    steps: Array
    strides: Array
    extent: Array
    block: Array
    upright: Array


class Scratch(NamedTuple):
    """Memory of one thread."""

    near: Array
    lower: Array
    upper: Array
    starts: Array
    nearest: Array
    rows: Array
    places: Array
    points: Array
    targets: Array
    shift: Array
    squares: Array
    scales: Array
    gaussians: Array
    monomials: Array
    angular: Array
    radial: Array
    functions: Array
    orbitals: Array
    sums: Array


def scratch(basis: Basis, orbitals: Orbitals, components: int) -> Scratch:
    """Return memory for one thread's evaluation of so many components."""
    shells, polynomials, dtype = basis.shells, basis.polynomials, orbitals.weights.dtype
    sites, rows = len(basis.sites.groups), orbitals.coefficients.shape[1]
    functions = int(np.diff(polynomials.first).max())
    exponents = np.diff(shells.first_exponent)
    return Scratch(
        near=np.empty(sites, np.int64),
        lower=np.empty(3),
        upper=np.empty(3),
        starts=np.empty(sites + 1, np.int64),
        nearest=np.empty(sites),
        rows=np.empty(rows, np.int64),
        places=np.empty(rows, np.int64),
        points=np.empty((3, TILE_POINTS)),
        targets=np.empty(TILE_POINTS, np.int64),
        shift=np.empty((3, TILE_POINTS), dtype),
        squares=np.empty(TILE_POINTS, dtype),
        scales=np.empty(int(exponents.max()), dtype),
        # Memory is taken where it is touched.
        gaussians=np.empty((int(exponents[basis.sites.groups].sum()), TILE_POINTS), dtype),
        monomials=np.empty((len(polynomials.parents), TILE_POINTS), dtype),
        angular=np.empty((functions, COMPONENTS[-1], TILE_POINTS), dtype),
        radial=np.empty((3, TILE_POINTS), dtype),
        functions=np.empty((components, rows, TILE_POINTS), dtype),
        orbitals=np.empty((components, TILE_ORBITALS, TILE_POINTS), dtype),
        sums=np.empty((len(orbitals.weights), components, TILE_POINTS), dtype),
    )


@inner(fast=FUSED, counts_arrays=False)
def select_sites(points: Any, steps: Any, planes: int, basis: Any, scratch: Any) -> int:
    """List the sites that reach the box around planes of points; return how many."""
    sites, shells = basis.sites, basis.shells
    lower, upper = scratch.lower, scratch.upper
    for x in range(3):
        smallest, largest = points[x, 0], points[x, 0]
        for t in range(TILE_POINTS):
            smallest = min(smallest, points[x, t])
            largest = max(largest, points[x, t])
        last = (planes - 1) * steps[0, x]
        lower[x], upper[x] = smallest + min(last, 0.0), largest + max(last, 0.0)
    count = 0
    scratch.starts[0] = 0
    for s in range(sites.groups.shape[0]):
        square = 0.0
        for x in range(3):
            centre = sites.centres[s, x]
            gap = max(0.0, lower[x] - centre, centre - upper[x])
            square += gap * gap
        group = sites.groups[s]
        if square < shells.reach[group] * shells.reach[group]:
            scratch.near[count] = s
            size = shells.first_exponent[group + 1] - shells.first_exponent[group]
            scratch.starts[count + 1] = scratch.starts[count] + size
            count += 1
    return count


@inner(fast=FUSED, counts_arrays=False)
def _fill_gaussians(
    points: Any, centre: Any, upright: Any, exponents: Any, squares: Any, out: Any
) -> float:
    """Fill exp(-a d^2) with d the distance to a centre, or to the upright line through it.

    Returns:
        The least of the squared distances. Where not even that has an exponential to speak of,
        none are filled in.
    """
    nearest = np.inf
    for t in range(TILE_POINTS):
        x, y, z = points[0, t] - centre[0], points[1, t] - centre[1], points[2, t] - centre[2]
        along = x * upright[0] + y * upright[1] + z * upright[2]
        x, y, z = x - along * upright[0], y - along * upright[1], z - along * upright[2]
        square = x * x + y * y + z * z
        nearest = min(nearest, square)
        squares[t] = square
    for k in range(exponents.shape[0]):
        if exponents[k] * nearest < _LARGEST_EXPONENT:
            fill_exponentials(-exponents[k], squares, out[k])
    return nearest


@inner(fast=FUSED, counts_arrays=False)
def fill_basis(
    count: int, plane: int, upright: Any, basis: Any, components: int, scratch: Any
) -> int:
    """Evaluate the functions of the selected sites on a plane; return how many there are."""
    sites, shells, points = basis.sites, basis.shells, scratch.points
    tilted = upright[0] == 0 and upright[1] == 0 and upright[2] == 0
    depth, previous, place = 0, -1, 0
    for s in range(count):
        site = scratch.near[s]
        group, centre = sites.groups[site], sites.centres[site]
        exponents = shells.exponents[
            shells.first_exponent[group] : shells.first_exponent[group + 1]
        ]
        own = scratch.gaussians[scratch.starts[s] : scratch.starts[s + 1]]
        if plane == 0 or tilted:
            scratch.nearest[s] = _fill_gaussians(
                points, centre, upright, exponents, scratch.squares, own
            )
        along = 0.0
        for x in range(3):
            along += (points[x, 0] - centre[x]) * upright[x]
        nearest = along * along + scratch.nearest[s]
        if nearest > shells.reach[group] * shells.reach[group]:
            continue
        for k in range(exponents.shape[0]):
            scratch.scales[k] = 0
            if exponents[k] * nearest < _LARGEST_EXPONENT:
                scratch.scales[k] = np.exp(-exponents[k] * along * along)
        for x in range(3):
            for t in range(TILE_POINTS):
                scratch.shift[x, t] = points[x, t] - centre[x]
        again = sites.rows[site] == previous
        if not again:
            previous, place = sites.rows[site], depth
            for f in range(shells.functions[group]):
                scratch.rows[depth] = previous + f
                depth += 1
        fill_functions(
            group, shells, basis.polynomials, scratch.shift, own, scratch.scales, components,
            scratch.monomials, scratch.angular, scratch.radial, scratch.functions, place, again,
        )  # fmt: skip
    return depth


@inner(fast=FUSED, counts_arrays=False)
def _fill_sums(orbitals: Any, depth: int, scratch: Any) -> None:
    """Sum squares of orbitals, the products of coefficients and functions."""
    functions, products, out = scratch.functions, scratch.orbitals, scratch.sums
    for s in range(out.shape[0]):
        for c in range(out.shape[1]):
            for t in range(TILE_POINTS):
                out[s, c, t] = 0
    panel = TILE_BYTES // out.itemsize
    components, n_rows = functions.shape[0], functions.shape[1]
    flat, target = functions.reshape(-1), products.reshape(-1)
    coefficients = orbitals.coefficients.reshape(-1)
    tile = n_rows * TILE_ORBITALS
    for start in range(0, TILE_POINTS, panel):
        for q in range(orbitals.coefficients.shape[0]):
            for c in range(components):
                orbital_tile(
                    address(flat, c * n_rows * TILE_POINTS + start), TILE_POINTS,
                    address(scratch.rows, 0), address(coefficients, q * tile), depth,
                    address(target, c * TILE_ORBITALS * panel), panel,
                )  # fmt: skip
            for s in range(out.shape[0]):
                weights = orbitals.weights[s, q * TILE_ORBITALS : (q + 1) * TILE_ORBITALS]
                for o in range(TILE_ORBITALS):
                    _add_square(target, weights[o], o * panel, panel, out[s], start)


@inner(fast=FUSED, counts_arrays=False)
def _add_square(values: Any, weight: Any, first: int, panel: int, out: Any, start: int) -> None:
    """Add the square of one orbital, and its derivatives, of a panel of points."""
    if weight == 0:
        return
    step = TILE_ORBITALS * panel
    value = values[first : first + panel]
    target = out[0, start : start + panel]
    for t in range(panel):
        target[t] += weight * (value[t] * value[t])
    if out.shape[0] == 1:
        return
    twice = weight + weight
    for c in range(1, out.shape[0]):
        derivative = values[c * step + first : c * step + first + panel]
        target = out[c, start : start + panel]
        for t in range(panel):
            target[t] += twice * (value[t] * derivative[t])
    if out.shape[0] == 4:
        return
    c = 4
    for i in range(1, 4):
        one = values[i * step + first : i * step + first + panel]
        for j in range(i, 4):
            other = values[j * step + first : j * step + first + panel]
            target = out[c, start : start + panel]
            for t in range(panel):
                target[t] += twice * (one[t] * other[t])
            c += 1


@inner(fast=FUSED, counts_arrays=False)
def place_points(number: int, places: Any, scratch: Any) -> Any:
    """Put the points of the first plane of a block into place; return points and planes."""
    points, targets = scratch.points, scratch.targets
    if places.order.shape[0] > 0:
        first = number * TILE_POINTS
        size = min(TILE_POINTS, places.order.shape[0] - first)
        for t in range(TILE_POINTS):
            targets[t] = places.order[first + min(t, size - 1)]
            for x in range(3):
                points[x, t] = places.points[targets[t], x]
        return size, 1
    extent, block, strides = places.extent, places.block, places.strides
    across = (extent[1] + block[1] - 1) // block[1]
    deep = (extent[2] + block[2] - 1) // block[2]
    i = number // (across * deep) * block[0]
    j = number // deep % across * block[1]
    k = number % deep * block[2]
    wide, long = min(block[1], extent[1] - j), min(block[2], extent[2] - k)
    for t in range(TILE_POINTS):
        # Beyond the block, its last point again.
        u = min(t, wide * long - 1)
        b, c = j + u // long, k + u % long
        targets[t] = i * strides[0] + b * strides[1] + c * strides[2]
        for x in range(3):
            along = i * places.steps[0, x] + b * places.steps[1, x] + c * places.steps[2, x]
            points[x, t] = places.origin[x] + along
    return wide * long, min(block[0], extent[0] - i)


@compiled(fast=FUSED, counts_arrays=False)
def fill_densities(
    first: int, last: int, places: Any, basis: Any, orbitals: Any, scratch: Any, out: Any
) -> None:
    """Evaluate densities on some of the tiles of points or blocks of a grid.

    Args:
        first, last: range of tiles or blocks, the last axis of blocks the fastest.
        places: `Places`.
        basis: `Basis`.
        orbitals: `Orbitals`.
        scratch: what `scratch` returns.
        out: (sets, 1, 4 or 10, n) densities, gradients and Hessians; must be zero.
    """
    points, targets, sums = scratch.points, scratch.targets, scratch.sums
    sets, components = out.shape[0], out.shape[1]
    for number in range(first, last):
        size, planes = place_points(number, places, scratch)
        count = select_sites(points, places.steps, planes, basis, scratch)
        if count == 0:
            continue
        for plane in range(planes):
            depth = fill_basis(count, plane, places.upright, basis, components, scratch)
            if depth > 0:
                _fill_sums(orbitals, depth, scratch)
                for s in range(sets):
                    for c in range(components):
                        for t in range(size):
                            out[s, c, targets[t]] = sums[s, c, t]
            for t in range(TILE_POINTS):
                targets[t] += places.strides[0]
                for x in range(3):
                    points[x, t] += places.steps[0, x]
