"""Integrals over all space, shared out among the atoms, from a few hundred points an atom.

Points lie on spheres around every atom, and each stands for its part of the atom's share of space,

    w_i(r) = p(|r - r_i|) / sum over atoms and images j of p(|r - r_j|)

so that the shares of all atoms add up to all that is within reach of one (F. L. Hirshfeld, Theor.
Chim. Acta 44, 129 (1977); A. D. Becke, J. Chem. Phys. 88, 2547 (1988), cuts space more sharply,
which takes more points). It serves functions that are smooth, or small, near the nuclei, such as
the difference of a density to superposed atoms, and any cell and periodicity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.fields.atoms.field import SuperposedAtoms
from deepdft.fields.atoms.tables import AtomicDensityTables
from deepdft.fields.atoms.tabulation import switch_off
from deepdft.geometry.blocks import spatial_groups
from deepdft.geometry.spheres import sphere_rule, spread_rotations

SHELLS = 22
"""Spheres around an atom."""

_MIDDLE = 2.2
"""Half of the spheres are, about, within this radius (of a large reach), Å."""

_DEGREES = ((0.5, 7), (2.6, 15), (np.inf, 11))
"""Degree of the rule on spheres up to a radius, Å."""

_DECAY = 5.0
"""p falls as exp(-decay |r - r_i|), 1/Å."""

_SOFT = 0.1
"""p has no cusp within this distance of a nucleus, Å."""

_SPACING, _SWITCH = 0.02, 1.5
"""Knots of the table of p, and the last part of its reach, over which it goes to zero, Å."""

_BATCH_ATOMS, _BATCH_EDGE = 256, 12.0
"""Most atoms whose points are in memory at once, and the edge of the box that holds them, Å."""


def integrals_by_atom(
    function: Callable[[FloatArray], FloatArray], atoms: Atoms, reach: float,
    threads: int | None = None, only: IntegerArray | None = None,
) -> FloatArray:  # fmt: skip
    """Return each atom's share of the integral of a function, (atoms,).

    Memory holds the points of some atoms at a time.

    Args:
        function: values (n,) at points (n, 3), Å; zero further than `reach` from all atoms.
        atoms: the structure; of a periodic one the integral is over a cell.
        reach: Å.
        threads: CPU threads; default: all that this process may use.
        only: (n,) atoms that are asked for, whose shares are returned; default: all.
    """
    asked = np.arange(len(atoms)) if only is None else only
    centres = atoms.positions[asked]
    points, weights, distances = _points_of_atom(reach)
    table = same_for_all(_share_knots(reach), _SPACING, atoms)
    everyone = SuperposedAtoms(table, atoms, threads=threads)
    own = weights * table.radial(table.elements[0], distances)
    result = np.zeros(len(asked))
    for batch, positions in points_around(centres, points):
        total = everyone.at(positions).reshape(len(batch), -1)
        shares = np.divide(own, total, out=np.zeros_like(total), where=total > 0)
        result[batch] = (function(positions).reshape(len(batch), -1) * shares).sum(axis=1)
    return result


def points_around(
    centres: FloatArray, points: FloatArray
) -> Iterator[tuple[IntegerArray, FloatArray]]:
    """Yield some centres at a time, and the points around them, centre by centre.

    Centres that are near each other have points that are.

    Args:
        centres: (n, 3) Å.
        points: (m, 3) around each, Å.

    Yields:
        (b,) which centres; (b m, 3) the points, Å.
    """
    for batch in spatial_groups(centres, _BATCH_ATOMS, _BATCH_EDGE):
        yield batch, (centres[batch, None] + points).reshape(-1, 3)


@cache
def _points_of_atom(reach: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return points (n, 3) around an atom, the volumes they stand for, and their distances."""
    nodes, steps = np.polynomial.legendre.leggauss(SHELLS)
    t = (nodes + 1) / 2
    # Closer together near the nucleus; the last one ends at the reach.
    rest = 1.0 - (1.0 - _MIDDLE / reach) * t
    radii, lengths = _MIDDLE * t / rest, 0.5 * steps * _MIDDLE / rest**2
    points, weights = [], []
    for radius, length, rotation in zip(radii, lengths, spread_rotations(SHELLS), strict=True):
        degree = next(degree for end, degree in _DEGREES if radius < end)
        directions, parts = sphere_rule(degree)
        # Turned from shell to shell, so that what one of them leaves out the next one sees.
        points.append(radius * directions @ rotation.T)
        weights.append(4 * np.pi * radius**2 * length * parts)
    found = np.concatenate(points)
    return found, np.concatenate(weights), np.linalg.norm(found, axis=1)


def same_for_all(knots: FloatArray, spacing: float, atoms: Atoms) -> AtomicDensityTables:
    """Return a function as a table, the same for all elements of a structure.

    Args:
        knots: (k, 3) as of `AtomicDensityTables`, of one element.
        spacing: distance between knots, Å.
        atoms: the structure.
    """
    elements = tuple(sorted(set(atoms.get_chemical_symbols())))
    return AtomicDensityTables(elements, np.repeat(knots[None], len(elements), axis=0), spacing)


@cache
def _share_knots(reach: float) -> FloatArray:
    count = int(np.ceil(reach / _SPACING - 1e-9)) + 1
    distances = np.asarray(np.arange(count) * _SPACING, dtype=np.float64)
    smooth = np.sqrt(distances**2 + _SOFT**2)
    value = np.exp(-_DECAY * smooth)
    slope = distances / smooth
    knots = switch_off(
        distances,
        np.stack(
            [
                value,
                -_DECAY * slope * value,
                (_DECAY**2 * slope**2 - _DECAY * _SOFT**2 / smooth**3) * value,
            ],
            axis=1,
        ),
        distances[-1],
        _SWITCH,
    )
    knots[-1] = 0.0
    return knots
