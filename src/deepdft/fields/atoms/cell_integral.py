"""Integrals over a periodic cell that do not change when it is turned or chosen otherwise.

A function f is cut in two by Gaussians g_i(r) = exp(-|r - r_i|^2 / a^2) around all atoms and their
images,

    f = f sum over atoms i of g_i + f (1 - sum over atoms i of g_i)

The first part is integrated on spheres around the atoms of the cell. The second one is smooth near
the nuclei: its sum over a uniform grid converges faster than any power of the spacing. Spheres and
grid turn with the reduced primitive cell, so what they leave out is the same for every description
of a crystal.
"""

from __future__ import annotations

from functools import cache
from typing import Protocol

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from deepdft.arrays import FloatArray, Index
from deepdft.density import Grid
from deepdft.fields.atoms.field import SuperposedAtoms
from deepdft.fields.atoms.quadrature import points_around, same_for_all
from deepdft.fields.walk import slabs
from deepdft.geometry.primitive_cell import PrimitiveCell
from deepdft.geometry.spheres import sphere_rule

SPACING = 0.15
"""Of the grid, Å."""

_WIDTH, _SHELLS, _DEGREE = 0.3, 14, 11
"""a, Å; spheres around an atom, and the degree of the rule on each."""

_REACH = 4.0
"""Where a Gaussian ends, in units of a: at 1e-7."""

_KNOTS = 0.01
"""Distance between the knots of a Gaussian's table, Å."""


class Valued(Protocol):
    """Has values at points and on boxes of grids."""

    def at(self, points: ArrayLike) -> FloatArray:
        """Return the values at points (n, 3) in Å, (n,)."""
        ...

    def box(self, grid: Grid, start: Index, stop: Index) -> FloatArray:
        """Return the values on the index box start:stop of a grid, (mx, my, mz)."""
        ...


def cell_integral(
    function: Valued, atoms: Atoms, primitive: PrimitiveCell, threads: int | None = None
) -> float:
    """Return the integral of a function over the cell of a structure.

    Memory holds some layers of the grid, or the points around some atoms, at a time.

    Args:
        function: repeats with the primitive cell.
        atoms: the structure, periodic along all three cell vectors.
        primitive: its primitive cell.
        threads: CPU threads; default: all that this process may use.
    """
    lengths = np.linalg.norm(primitive.vectors, axis=1)
    # Lengths that are equal but for rounding are divided equally.
    n1, n2, n3 = np.ceil(lengths / SPACING - 1e-6).astype(int).tolist()
    grid = Grid(primitive.vectors, (n1, n2, n3))
    near = SuperposedAtoms(same_for_all(_knots(), _KNOTS, atoms), atoms, threads=threads)
    smooth = 0.0
    for start, stop in slabs(grid):
        values = function.box(grid, start, stop)
        smooth += float((values * (1.0 - near.box(grid, start, stop))).sum())
    once = smooth * grid.voxel_volume + _near_nuclei(function, atoms, primitive)
    return once * primitive.count


def _near_nuclei(function: Valued, atoms: Atoms, primitive: PrimitiveCell) -> float:
    """Return the integral of a function times all Gaussians of the atoms of a primitive cell."""
    points, weights = _points_of_atom()
    total = 0.0
    centres = atoms.positions[primitive.atoms]
    for batch, positions in points_around(centres, points @ primitive.axes):
        total += float((function.at(positions).reshape(len(batch), -1) @ weights).sum())
    return total


@cache
def _points_of_atom() -> tuple[FloatArray, FloatArray]:
    """Return points (n, 3) around an atom, and the volumes they stand for times the Gaussian."""
    nodes, steps = np.polynomial.legendre.leggauss(_SHELLS)
    end = _REACH * _WIDTH
    radii, lengths = end * (nodes + 1) / 2, end * steps / 2
    directions, parts = sphere_rule(_DEGREE)
    points = (radii[:, None, None] * directions).reshape(-1, 3)
    shells = 4 * np.pi * radii**2 * lengths * np.exp(-((radii / _WIDTH) ** 2))
    return points, np.outer(shells, parts).ravel()


@cache
def _knots() -> FloatArray:
    """Return value, slope and curvature of the Gaussian at the knots, (knots, 3)."""
    x = np.arange(round(_REACH * _WIDTH / _KNOTS) + 1) * _KNOTS / _WIDTH
    value = np.exp(-(x**2))
    slope, curvature = -2 * x * value / _WIDTH, (4 * x**2 - 2) * value / _WIDTH**2
    knots = np.stack([value, slope, curvature], axis=1)
    knots[-1] = 0.0
    return knots
