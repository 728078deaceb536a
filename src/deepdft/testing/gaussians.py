"""Structures with densities known anywhere: one Gaussian an atom, all images included."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from deepdft.arrays import FloatArray
from deepdft.data import DensityDataset, Probes
from deepdft.density import Grid
from deepdft.geometry.periodic_images import images_in_reach
from deepdft.levels import LevelOfTheory

PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
ELECTRONS = {1: 1, 6: 4, 7: 5, 8: 6, 9: 7, 11: 9, 13: 3, 17: 7}
WIDTH = 0.6


class Gaussians(DensityDataset):
    """Structures whose density is a Gaussian of the valence electrons around every atom."""

    def __init__(self, structures: Sequence[Atoms], prefix: str = "x") -> None:
        self.structures = list(structures)
        self.prefix = prefix
        self.level = PBE

    @property
    def names(self) -> list[str]:
        return [f"{self.prefix}{i}" for i in range(len(self.structures))]

    def atoms(self, index: int) -> Atoms:
        return self.structures[index]

    def values(self, index: int, points: FloatArray) -> FloatArray:
        """Return the density at points (n, 3)."""
        atoms = self.structures[index]
        images = images_in_reach(
            atoms.positions,
            atoms.cell.array,
            atoms.pbc,
            points.min(axis=0),
            points.max(axis=0),
            4.0,
        )
        squared = ((points[:, None] - images.positions[None]) ** 2).sum(axis=-1)
        counts = np.array([ELECTRONS[int(z)] for z in atoms.numbers[images.atoms]])
        norm = (2 * np.pi * WIDTH**2) ** 1.5
        values: FloatArray = np.exp(-0.5 * squared / WIDTH**2) @ counts / norm
        return values

    def draw(
        self, index: int, count: int, generator: np.random.Generator, *, cutoff: float,
        importance: float = 0.0,
    ) -> Probes:  # fmt: skip
        atoms = self.structures[index]
        if atoms.pbc.all():
            points = generator.random((count, 3)) @ atoms.cell.array
        else:
            lower, upper = atoms.positions.min(axis=0) - 3, atoms.positions.max(axis=0) + 3
            points = generator.uniform(lower, upper, (count, 3))
        return Probes(points, self.values(index, points), np.ones(count))

    def grid(self, index: int, spacing: float = 0.1, margin: float = 5.0) -> Grid:
        atoms = self.structures[index]
        return (
            Grid.of_cell(atoms, spacing) if atoms.pbc.all() else Grid.around(atoms, spacing, margin)
        )

    def slab(self, index: int, grid: Grid, start: int, stop: int) -> FloatArray:
        points = grid.points((start, 0, 0), (stop, *grid.shape[1:]))
        return self.values(index, points.reshape(-1, 3)).reshape(points.shape[:3])

    def n_electrons(self, index: int) -> float:
        return float(sum(ELECTRONS[int(z)] for z in self.structures[index].numbers))


def rattled(structures: Sequence[Atoms], seed: int, size: float = 0.06) -> list[Atoms]:
    """Return copies with displaced atoms."""
    copies = [atoms.copy() for atoms in structures]
    for number, atoms in enumerate(copies):
        atoms.rattle(size, seed=seed + number)
    return copies
