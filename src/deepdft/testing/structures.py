"""Small structures that between them hold every case an edge search has to get right."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.build import bulk, molecule

ELEMENTS = (1, 6, 7, 8, 11, 13, 17)
"""Atomic numbers that occur in the structures below."""


def ethanol() -> Atoms:
    """A molecule without a cell, turned so that no atom sits on an axis."""
    atoms: Atoms = molecule("CH3CH2OH")
    atoms.rotate(37.0, (1.0, 2.0, -0.5))
    return atoms


def triclinic() -> Atoms:
    """Three atoms in a skewed cell smaller than the cutoff, two of them outside the cell."""
    cell = [[3.1, 0.2, -0.4], [1.3, 2.7, 0.1], [-0.8, 0.9, 4.2]]
    positions = [[0.3, 0.2, 0.5], [4.9, -3.1, 2.2], [-2.4, 7.3, -5.9]]
    return Atoms("CNO", positions, cell=cell, pbc=True)


def sodium_chloride() -> Atoms:
    """Rock salt in its cubic cell of eight atoms."""
    return bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def diamond() -> Atoms:
    """The primitive fcc cell with two atoms, much smaller than the cutoff."""
    return bulk("C", "diamond", a=3.57)


def slab() -> Atoms:
    """A slab periodic in two directions, whose third cell vector is zero."""
    cell = [[2.86, 0.0, 0.0], [1.43, 2.4768, 0.0], [0.0, 0.0, 0.0]]
    positions = [[0.0, 0.0, 9.0], [1.43, 0.8256, 11.335], [1.3, 0.7, 13.1], [1.4, 0.9, 14.05]]
    return Atoms("Al2OH", positions, cell=cell, pbc=(True, True, False))


def chain() -> Atoms:
    """A chain periodic along its second, slanted cell vector alone."""
    cell = [[9.0, 0.0, 0.0], [0.4, 2.6, 0.3], [0.0, 0.0, 8.0]]
    return Atoms("C2", [[1.0, 0.1, 0.2], [1.1, 1.4, -6.0]], cell=cell, pbc=(False, True, False))


def single_atom() -> Atoms:
    """One atom and nothing else."""
    return Atoms("O", [[0.4, -0.3, 0.2]])


STRUCTURES: dict[str, Callable[[], Atoms]] = {
    function.__name__: function
    for function in (ethanol, triclinic, sodium_chloride, diamond, slab, chain, single_atom)
}


def points_near(atoms: Atoms, count: int, seed: int = 0, spread: float = 1.5) -> np.ndarray:
    """Return random points around randomly chosen atoms, (count, 3) Å."""
    generator = np.random.default_rng(seed)
    centres = atoms.positions[generator.integers(len(atoms), size=count)]
    points: np.ndarray = centres + spread * generator.standard_normal((count, 3))
    return points
