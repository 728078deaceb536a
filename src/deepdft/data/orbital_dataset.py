"""Structures whose densities are given by their occupied orbitals, exact at any point."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.arrays import FloatArray
from deepdft.data.dataset import EVALUATION_MARGIN, EVALUATION_SPACING, DensityDataset, Probes
from deepdft.density import Grid
from deepdft.fields.orbitals import OrbitalArchive, OrbitalDensity
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.geometry.reach import within_reach
from deepdft.threads import available_threads

_NEAR_WIDTHS = (0.35, 0.9)
"""Standard deviations (Å) of the Gaussians around nuclei that importance sampling draws from: one
for the valence shell, one for bonds and lone pairs."""

_WIDTHS_REACHED = 6.0
"""Standard deviations beyond which a Gaussian of importance sampling counts as zero."""


class OrbitalDataset(DensityDataset):
    """An archive of occupied orbitals as a dataset.

    Random points of a periodic structure take tens of times longer than a molecule's, because many
    images reach every point; to train on many, convert the archive to a training store.

    Args:
        paths: archive files, or directories of them.
    """

    def __init__(self, paths: str | Path | Sequence[str | Path]) -> None:
        self.archive = OrbitalArchive(paths)
        self.level = self.archive[0].level
        self._names = self.archive.labels
        # Decoded coefficients: about 15 kB a molecule, and every training step needs two.
        self._density = functools.lru_cache(maxsize=20_000)(self.archive.__getitem__)

    @property
    def names(self) -> list[str]:
        return self._names

    def density(self, index: int) -> OrbitalDensity:
        """Return the orbitals of one molecule."""
        return self._density(index)

    def atoms(self, index: int) -> Atoms:
        return self.density(index).atoms

    def draw(
        self,
        index: int,
        count: int,
        generator: np.random.Generator,
        *,
        cutoff: float,
        importance: float = 0.0,
    ) -> Probes:
        density = self.density(index)
        n_near = round(importance * count)
        uniform, volume = _uniform_points(density.atoms, count - n_near, cutoff, generator)
        near_points = _near_points(density.atoms, n_near, generator)
        kept = near_points[within_reach(density.atoms, near_points, cutoff)]
        points = np.concatenate((uniform, kept))
        weights = np.ones(len(points))
        if n_near:
            near = _near_probability(density.atoms, points)
            fraction = n_near / count
            weights = 1.0 / ((1.0 - fraction) + fraction * near * volume)
        values = density.at(points)
        return Probes(points, values.astype(np.float64), weights)

    def grid(
        self, index: int, spacing: float = EVALUATION_SPACING, margin: float = EVALUATION_MARGIN
    ) -> Grid:
        atoms = self.atoms(index)
        if atoms.pbc.all():
            return Grid.of_cell(atoms, spacing)
        return Grid.around(atoms, spacing, margin)

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> NDArray[Any]:
        box = (start, 0, 0), (stop, *grid.shape[1:])
        return self.density(index).box(grid, *box, dtype=np.float32, threads=available_threads())

    def n_electrons(self, index: int) -> float:
        return float(self.density(index).n_electrons)


def _uniform_points(
    atoms: Atoms, count: int, cutoff: float, generator: np.random.Generator
) -> tuple[FloatArray, float]:
    """Draw points uniformly among those within reach of an atom; also estimate their volume."""
    if atoms.pbc.all():
        lower, box = np.zeros(3), atoms.cell.array
    else:
        lower = atoms.positions.min(axis=0) - cutoff
        box = np.diag(atoms.positions.max(axis=0) + cutoff - lower)
    kept: list[FloatArray] = []
    n_kept = n_tried = 0
    while n_kept < count or n_tried == 0:
        trial = lower + generator.random((max(2 * count, 256), 3)) @ box
        trial = trial[within_reach(atoms, trial, cutoff)]
        n_tried += max(2 * count, 256)
        kept.append(trial)
        n_kept += len(trial)
    volume = abs(float(np.linalg.det(box))) * n_kept / n_tried
    return np.concatenate(kept)[:count], volume


def _near_points(atoms: Atoms, count: int, generator: np.random.Generator) -> FloatArray:
    centres = atoms.positions[generator.integers(len(atoms), size=count)]
    widths = np.array(_NEAR_WIDTHS)[generator.integers(len(_NEAR_WIDTHS), size=count)]
    points: FloatArray = centres + widths[:, None] * generator.standard_normal((count, 3))
    if atoms.pbc.all():
        # Into the cell, where the uniform points are.
        cell = atoms.cell.array
        points = (points @ np.linalg.inv(cell) % 1.0) @ cell
    return points


def _near_probability(atoms: Atoms, points: FloatArray) -> FloatArray:
    """Probability density (1/Å^3) with which `_near_points` draws each point."""
    centres = atoms.positions
    if atoms.pbc.any() and len(points):
        reach = _WIDTHS_REACHED * max(_NEAR_WIDTHS)
        lower, upper = points.min(axis=0), points.max(axis=0)
        centres = images_in_reach(
            centres, atoms.cell.array, atoms.pbc, lower, upper, reach
        ).positions
    x, y, z = (points[:, axis, None] - centres[:, axis] for axis in range(3))
    squared = (x * x + y * y) + z * z
    total = np.zeros(len(points))
    for width in _NEAR_WIDTHS:
        norm = (2 * np.pi * width**2) ** 1.5 * len(_NEAR_WIDTHS) * len(atoms)
        exponent = -0.5 * squared
        exponent /= width**2
        total += np.exp(exponent, out=exponent).sum(axis=1) / norm
    return total
