"""Fourier series of symmetric functions: one wave of each star, and the values on a grid.

For an operation x -> R x + t of a space group, x in units of the cell, the waves of a function that
is symmetric under it are related by c(h R) = c(h) exp(2 pi i h.t); where it is real, c(-h) = c(h)*.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Symmetry(NamedTuple):
    """Operations x -> R x + t of a space group, x in units of the cell vectors.

    Attributes:
        rotations: (k, 3, 3) integers R.
        translations: (k, 3) t.
    """

    rotations: NDArray[np.integer[Any]]
    translations: NDArray[np.float64]

    @classmethod
    def none(cls) -> Symmetry:
        """Return the identity alone."""
        return cls(np.eye(3, dtype=np.int8)[None], np.zeros((1, 3)))


def expand(
    shape: Sequence[int],
    symmetry: Symmetry,
    hkl: NDArray[np.integer[Any]],
    waves: NDArray[np.complex128],
) -> NDArray[np.float64]:
    """Return the values of a Fourier series on the points of a grid.

    Args:
        shape: (3,) points along the cell vectors, the first at the origin.
        symmetry: operations that make the whole series of one wave of each star.
        hkl: (w, 3) integers h.
        waves: (w,) c(h), in any unit.

    Returns:
        Of `shape`, in the unit of the waves.
    """
    series = np.zeros(tuple(shape), np.complex128)
    points = np.asarray(shape)
    integers = hkl.astype(np.int64)
    for rotation, translation in zip(*symmetry, strict=True):
        values = waves * np.exp(2j * np.pi * (integers @ translation))
        images = integers @ rotation.astype(np.int64)
        series[tuple((images % points).T)] = values
        series[tuple((-images % points).T)] = values.conj()
    result: NDArray[np.float64] = np.fft.ifftn(series).real * series.size
    return result


def reduce(
    values: NDArray[np.floating[Any]], cell: NDArray[np.float64], symmetry: Symmetry, cutoff: float
) -> tuple[NDArray[np.int16], NDArray[np.complex128]]:
    """Return one plane wave of each star, `expand`'s inverse.

    Args:
        values: on a grid over the cell, the first point at the origin.
        cell: (3, 3) Å, rows.
        symmetry: operations that the values are symmetric under.
        cutoff: largest |2 pi h|, 1/Å.

    Returns:
        (w, 3) integers h and (w,) waves.
    """
    shape = np.array(values.shape)
    series = np.fft.fftn(values) / values.size
    axes = [np.fft.fftfreq(n, 1 / n).round().astype(np.int64) for n in shape]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    length = 2 * np.pi * np.linalg.norm(hkl @ np.linalg.inv(cell).T, axis=1)
    # A wave at the edge of the grid stands for two.
    inside = (length <= cutoff) & (2 * np.abs(hkl) < shape).all(axis=1)
    hkl = hkl[inside]
    # A star is known by the largest of its waves' numbers; of each the first wave is kept.
    stars = np.full(len(hkl), -1)
    for rotation in symmetry.rotations.astype(np.int64):
        images = hkl @ rotation
        np.maximum(stars, _numbers(images), out=stars)
        np.maximum(stars, _numbers(-images), out=stars)
    chosen = hkl[np.sort(np.unique(stars, return_index=True)[1])]
    return chosen.astype(np.int16), series[tuple(chosen.T)]


def _numbers(hkl: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return a number for each wave, different for different ones."""
    half, base = 1 << 15, 1 << 16
    return ((hkl[:, 0] + half) * base + (hkl[:, 1] + half)) * base + (hkl[:, 2] + half)
