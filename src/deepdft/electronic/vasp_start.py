"""A CHGCAR that VASP can begin with (ICHARG = 1), from a model trained on CHGCARs.

What VASP reads besides the density on its grid a model of densities does not give: the one-centre
(augmentation) occupancies of the PAW method and the spin density. They are taken from a calculation
of the same atoms in other places, a step before or an unrelaxed structure. What comes out was
checked against pymatgen's reader, not run in VASP.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms

from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, LevelOfTheoryError
from deepdft.formats import read
from deepdft.levels import LevelOfTheory
from deepdft.prediction.predict import predict
from deepdft.prediction.trained_model import TrainedModel

_ICHARG = "A CHGCAR to begin with (ICHARG = 1)"


def vasp_start(
    atoms: Atoms, model: TrainedModel, reference: str | Path, path: str | Path
) -> Density:
    """Write a CHGCAR that a calculation of VASP can begin with, and return what was written.

    Args:
        atoms: the structure, its atoms in the order of the POSCAR.
        model: a model trained on CHGCARs of the same settings.
        reference: CHGCAR of the same atoms in the same order, calculated with the settings of the
            calculation to come: its grid, augmentation occupancies and spin density are taken, and
            its number of electrons.
        path: file to write.

    Raises:
        LevelOfTheoryError: if the model was not trained on densities of VASP, or its level of
            theory is known to differ from the reference's.
        ConfigurationError: if the reference has other atoms or no augmentation occupancies.
        FileFormatError: if the reference cannot be read.
        UnsupportedStructureError: if the model does not treat the structure.
    """
    known = read(reference)
    if not isinstance(known, Density):
        raise ConfigurationError(f"{reference} holds no density on a grid; a CHGCAR is needed.")
    _require_vasp(model.level, known.level, reference)
    if not np.array_equal(known.atoms.numbers, atoms.numbers):
        raise ConfigurationError(
            f"{reference} is of {known.atoms.symbols}, and the structure is {atoms.symbols}: the "
            "atoms must be the same, in the same order."
        )
    if not any("augmentation" in text for text in known.metadata.get("augmentation", ())):
        raise ConfigurationError(
            f"{reference} has no augmentation occupancies; a CHG has none, take the CHGCAR."
        )
    grid = Grid(np.asarray(atoms.cell), known.grid.shape)
    found = predict(atoms, model, grid=grid)
    spin = known.spin
    if spin is not None:
        # Files hold moments of grid points; those of a point stay what they were.
        spin = spin * (known.grid.volume / grid.volume)
    start = replace(
        found,
        values=found.values * (known.n_electrons / found.n_electrons),
        spin=spin,
        metadata={"augmentation": known.metadata["augmentation"]},
    )
    start.write(path, format="vasp")
    return start


def _require_vasp(level: LevelOfTheory, known: LevelOfTheory, reference: str | Path) -> None:
    if not level.code.casefold().startswith("vasp"):
        raise LevelOfTheoryError(
            f"{_ICHARG} needs a model trained on densities of VASP, and this one has learned "
            f"{level}: train one on your CHGCARs (docs/training.md)."
        )
    conflicts = level.conflicts_with(known)
    if conflicts:
        raise LevelOfTheoryError(
            f"{_ICHARG}: the {' and the '.join(conflicts)} of the model ({level}) and of "
            f"{reference} ({known}) differ."
        )
