"""Volumes beside the density: potential, contacts, curvatures, as cube files in atomic units."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.electronic.charges import electrostatic_potential
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.fields.field import Field, OnBoxes
from deepdft.fields.field_sum import FieldSum
from deepdft.fields.free_atoms import FrozenCores
from deepdft.fields.indicators import DensityOverlapRegion, HessianEigenvalue, InteractionRegion
from deepdft.fields.walk import Progress, slabs, values_on, walk
from deepdft.prediction.trained_model import TrainedModel
from deepdft.storage.compression import codec_of_name
from deepdft.units import HARTREE, PER_CUBIC_BOHR

INDICATORS: dict[str, Callable[[Field], Field]] = {
    "iri": InteractionRegion,
    "dori": DensityOverlapRegion,
    "eigenvalue-1": partial(HessianEigenvalue, number=1),
    "eigenvalue-2": partial(HessianEigenvalue, number=2),
    "eigenvalue-3": partial(HessianEigenvalue, number=3),
}
"""Volumes that are made of the density's gradient and Hessian at every point."""

POTENTIAL = "potential"

VOLUMES = {
    POTENTIAL: "electrostatic potential of electrons and ions, Ha/e",
    "iri": "interaction region indicator (Lu and Chen 2021)",
    "dori": "density overlap region indicator (de Silva and Corminboeuf 2014)",
    "eigenvalue-1": "smallest eigenvalue of the Hessian of the density, e/bohr^5",
    "eigenvalue-2": "middle eigenvalue of the Hessian of the density, e/bohr^5",
    "eigenvalue-3": "largest eigenvalue of the Hessian of the density, e/bohr^5",
}
"""What can be written, and what it is."""


def with_frozen_cores(valence: Field, model: TrainedModel) -> Field:
    """Return a predicted density with the cores that it leaves out, where these are known."""
    charges = model.core_charges(valence.atoms)
    if charges is None or not (valence.atoms.numbers - charges > 0.5).any():
        return valence
    return FieldSum([valence, FrozenCores(valence.atoms, valence.atoms.numbers - charges)])


def volume(name: str, atoms: Atoms, model: TrainedModel, grid: Grid) -> OnBoxes:
    """Return a volume of a structure as something that has values on boxes of a grid.

    The potential is in V, all others in atomic units.

    Raises:
        ConfigurationError: if there is no such volume.
    """
    if name not in VOLUMES:
        raise ConfigurationError(
            f"There is no volume '{name}'; there are {', '.join(VOLUMES)}."
            f"{did_you_mean(name, VOLUMES)}"
        )
    engine = model.engine(atoms)
    if name != POTENTIAL:
        return INDICATORS[name](with_frozen_cores(engine, model))
    density = Density(atoms, grid, values_on(engine, grid), level=model.level)
    return electrostatic_potential(density, model.core_charges(atoms), model.baseline)


def write_volume(
    name: str, path: str | Path, atoms: Atoms, model: TrainedModel, grid: Grid,
    progress: Progress | None = None,
) -> None:  # fmt: skip
    """Write a volume to a cube file, in atomic units, slab by slab.

    Args:
        name: one of `VOLUMES`.
        path: ends in .cube, or .cube.gz and the like.
        atoms: the structure.
        model: the model.
        grid: points.
        progress: called with the number of points done.

    Raises:
        ConfigurationError: if there is no such volume, or the file is no cube file: other formats
            know densities only.
        UnsupportedStructureError: if the model cannot treat the structure.
    """
    from deepdft.formats import open_writer

    path = Path(path)
    whole = path if codec_of_name(path.name) is None else path.with_suffix("")
    if whole.suffix != ".cube":
        raise ConfigurationError(
            f"{path}: volumes are written to .cube files; others hold densities."
        )
    field = volume(name, atoms, model, grid)
    # A writer turns e/Å^3 into e/bohr^3.
    unit: Literal[1] | float = 1 / HARTREE if name == POTENTIAL else 1
    comment = f"{VOLUMES[name]}, deepdft, model {model.name}"
    with open_writer(path, atoms, grid, level=model.level, comment=comment) as writer:
        for _, _, values in walk(field, grid, slabs(grid, writer.axis), progress=progress):
            writer.write_slab(values * (unit * PER_CUBIC_BOHR))
