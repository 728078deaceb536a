"""Densities as objects of pymatgen, and back.

pymatgen keeps a density as VASP does: values times the volume of the cell, on a grid over the cell
of a structure. A molecule in a box becomes a structure in a cell that is the box.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError
from deepdft.extras import import_extra
from deepdft.levels import LevelOfTheory
from deepdft.structures.foreign import as_atoms


def to_pymatgen(density: Density) -> Any:
    """Return a density as pymatgen's `Chgcar`: structure, total and difference of the spins.

    Args:
        density: on any grid; its box becomes the cell, whose corner is the first grid point.

    Raises:
        MissingDependencyError: if pymatgen is not installed.
        ConfigurationError: if the density is non-collinear.
    """
    core = import_extra("pymatgen.core", "An object of pymatgen")
    outputs = import_extra("pymatgen.io.vasp", "An object of pymatgen")
    grid = density.grid
    if density.spin is not None and density.spin.ndim == 4:
        raise ConfigurationError("pymatgen's Chgcar has no place for a non-collinear density here.")
    structure = core.Structure(
        core.Lattice(grid.cell), density.atoms.get_chemical_symbols(),
        density.atoms.positions - grid.origin, coords_are_cartesian=True,
    )  # fmt: skip
    data = {"total": np.asarray(density.values, dtype=np.float64) * grid.volume}
    if density.spin is not None:
        data["diff"] = np.asarray(density.spin, dtype=np.float64) * grid.volume
    return outputs.Chgcar(outputs.Poscar(structure), data)


def from_pymatgen(volume: Any, level: LevelOfTheory | None = None) -> Density:
    """Return a density of pymatgen: a `Chgcar`, or a `VolumetricData` that is one.

    Args:
        volume: with a structure, and "total" and perhaps "diff" in its data, times the volume.
        level: level of theory; pymatgen does not know it.

    Raises:
        ConfigurationError: if the object holds no total density.
    """
    data = getattr(volume, "data", None)
    if not isinstance(data, dict) or "total" not in data or not hasattr(volume, "structure"):
        raise ConfigurationError(
            f"A {type(volume).__name__} holds no density: pymatgen's Chgcar has a structure and "
            '"total" in its data.'
        )
    atoms = as_atoms(volume.structure)
    total = np.asarray(data["total"], dtype=np.float64)
    grid = Grid(atoms.cell.array, (total.shape[0], total.shape[1], total.shape[2]))
    spin = data.get("diff")
    return Density(
        atoms, grid, total / grid.volume,
        spin=None if spin is None else np.asarray(spin, dtype=np.float64) / grid.volume,
        level=level or LevelOfTheory(),
    )  # fmt: skip
