"""Small densities for the tests of the file formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.levels import LevelOfTheory

FILES = Path(__file__).parent / "files"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "files"
LEVEL = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")


def skewed_atoms() -> Atoms:
    """Return five atoms in a cell without any right angle, the elements not grouped."""
    rng = np.random.default_rng(7)
    cell = [[5.1, 0.3, 0.0], [1.2, 4.4, 0.2], [-0.3, 0.5, 6.3]]
    return Atoms("HOHC2", scaled_positions=rng.random((5, 3)), cell=cell, pbc=True)


def skewed_density(components: int = 0, shape: tuple[int, int, int] = (5, 7, 6)) -> Density:
    """Return a periodic density of about 16 electrons with 0, 1 or 3 spin components."""
    rng = np.random.default_rng(11)
    atoms = skewed_atoms()
    grid = Grid(np.asarray(atoms.cell), shape)
    values = rng.random(shape) + 0.05
    values *= 16.0 / (values.sum() * grid.voxel_volume)
    spin = rng.normal(size=(components, *shape)) * 0.01 if components else None
    if spin is not None and components == 1:
        spin = spin[0]
    return Density(atoms, grid, values, spin, LEVEL)


def boxed_molecule() -> Density:
    """Return a water molecule in a box that begins away from zero."""
    atoms = Atoms("OH2", positions=[[0.1, -0.2, 0.3], [0.9, 0.4, 0.3], [-0.7, 0.4, 0.2]])
    grid = Grid.around(atoms, 0.45, 2.0)
    distance = np.linalg.norm(grid.points() - atoms.positions[0], axis=-1)
    values = np.exp(-2.5 * distance)
    values *= 8.0 / (values.sum() * grid.voxel_volume)
    return Density(atoms, grid, values, None, LEVEL)


def shared_file(name: str) -> Path:
    """Return a file of another program, or skip where the collection is not there."""
    import pytest

    for folder in (FILES, SHARED):
        if (folder / name).exists():
            return folder / name
    pytest.skip(f"{name} is not shipped and the collection of files is not here")
