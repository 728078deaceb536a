"""How alike two chemical elements are, so that what one teaches serves its neighbours.

A network knows an element by a row of numbers, its embedding. Drawn independently, the rows of
strontium and barium have nothing in common, and an element that occurs in four crystals has to be
learned from these four. Drawn as random functions of the place in the periodic table and of the
covalent radius, rows of similar elements are similar from the start; training moves them apart
where the data say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from ase.data import covalent_radii

from deepdft.arrays import FloatArray

_PERIOD_ENDS = (0, 2, 10, 18, 36, 54, 86, 118)
"""Atomic numbers of the noble gases."""
_RADII = np.arange(0.3, 2.6, 0.2)
"""Centres of the Gaussians of the covalent radius, Å."""
_NOISE = 0.1
"""Share of an embedding's variance that descriptors say nothing of, where rows are inferred."""


def element_descriptors(numbers: Sequence[int]) -> FloatArray:
    """Return a vector of length one for each atomic number, (n, descriptors).

    It holds bumps around the element's group, period and covalent radius (Cordero et al., Dalton
    Trans., 2832, 2008), and its block; hydrogen, at home in no group, has one of its own.
    """
    return np.array([_descriptor(int(number)) for number in numbers])


def similarity(left: Sequence[int], right: Sequence[int]) -> FloatArray:
    """Return the scalar products of descriptors, (len(left), len(right)): one for the same."""
    products: FloatArray = element_descriptors(left) @ element_descriptors(right).T
    return products


def inferred_rows(
    known: Sequence[int], rows: FloatArray, unknown: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Infer embeddings of elements from those of others (a Gaussian process over the descriptors).

    Args:
        known: atomic numbers of the rows.
        rows: embeddings, (len(known), width).
        unknown: atomic numbers whose rows are wanted.

    Returns:
        The expected rows, (len(unknown), width), and the share of their variance that remains
        open, between 0 and 1, (len(unknown),).
    """
    covariance = similarity(known, known) + _NOISE * np.eye(len(known))
    weights = np.linalg.solve(covariance, similarity(known, unknown)).T
    explained = np.einsum("uk,ku->u", weights, similarity(known, unknown))
    return weights @ rows, np.clip(1.0 - explained, 0.0, 1.0)


@cache
def _descriptor(number: int) -> FloatArray:
    period = next(i for i, end in enumerate(_PERIOD_ENDS) if number <= end)
    place = number - _PERIOD_ENDS[period - 1]
    group, block = _group_and_block(place, _PERIOD_ENDS[period] - _PERIOD_ENDS[period - 1])
    parts = (
        _bumps(np.arange(1.0, 19.0), group, 1.0),
        _bumps(np.arange(1.0, 8.0), period, 0.7),
        0.6 * np.eye(4)[block],
        0.8 * _bumps(_RADII, float(covalent_radii[number]), 0.2),
        np.array([0.8 if number == 1 else 0.0]),
    )
    descriptor: FloatArray = np.concatenate(parts)
    descriptor /= np.linalg.norm(descriptor)
    return descriptor


def _group_and_block(place: int, length: int) -> tuple[float, int]:
    """Return the group (1 to 18) and block (s, p, d, f as 0 to 3) of a place in a period."""
    if place <= 2 and length > 2:
        return place, 0
    if length == 2:
        return (1 if place == 1 else 18), 0
    if length == 8:
        return place + 10, 1
    if length == 32 and place <= 16:
        return 3 + (place - 3) / 15, 3  # lanthanides and actinides, all like group 3
    group = place if length == 18 else place - 14
    return group, 1 if group > 12 else 2


def _bumps(centres: FloatArray, value: float, width: float) -> FloatArray:
    bumps: FloatArray = np.exp(-0.5 * ((centres - value) / width) ** 2)
    bumps /= np.linalg.norm(bumps)
    return bumps
