"""Reference densities small enough to be made in a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import molecule

from deepdft.density import Density, Grid
from deepdft.fields.orbitals import OrbitalDensity, load_basis, write_orbital_archive
from deepdft.levels import LevelOfTheory

PBE = LevelOfTheory("PBE", "GTH-PBE", "gth-dzvp", "PySCF 2.14")
VALENCE = {"H": 1, "C": 4, "N": 5, "O": 6, "F": 7}
MOLECULES = ("H2", "H2O", "CH4", "NH3", "CO", "N2")


def orbital_density(name: str, index: int) -> OrbitalDensity:
    """Return a density of made-up orbitals: positive, with the right number of electrons."""
    atoms = molecule(name)
    atoms.info["index"] = index
    atoms.set_initial_magnetic_moments(None)
    generator = np.random.default_rng(index)
    n_functions = sum(
        shell.n_functions for shells in load_basis("gth-dzvp").shells(atoms.numbers)
        for shell in shells
    )  # fmt: skip
    n_occupied = sum(VALENCE[symbol] for symbol in atoms.symbols) // 2
    coefficients = 0.3 * generator.standard_normal((n_functions, n_occupied))
    return OrbitalDensity(atoms, "gth-dzvp", coefficients, 2.0, PBE)


def write_archive(path: Path, names: Sequence[str] = MOLECULES, first_index: int = 10) -> Path:
    """Write an archive of made-up molecules, numbered upwards from `first_index`."""
    densities = [orbital_density(name, first_index + i) for i, name in enumerate(names)]
    write_orbital_archive(path, densities)
    return path


def gaussian_density(
    atoms: Atoms, grid: Grid, level: LevelOfTheory = PBE, width: float = 0.6
) -> Density:
    """Return a density of one Gaussian an atom (no images), normalised to its valence electrons."""
    points = grid.points()
    values = np.zeros(grid.shape)
    for position, symbol in zip(atoms.positions, atoms.symbols, strict=True):
        squared = ((points - position) ** 2).sum(axis=-1)
        norm = VALENCE[symbol] / (2 * np.pi * width**2) ** 1.5
        values += norm * np.exp(-0.5 * squared / width**2)
    return Density(atoms, grid, values, level=level)
