"""Predicted densities with the frozen cores of their atoms: all electrons.

The cores are those of free atoms (`deepdft.fields.free_atoms`). The valence density stays that of
the pseudopotentials, which is smooth within about 0.3 to 0.6 Å of a nucleus.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms

from deepdft.density import Density
from deepdft.errors import ConfigurationError
from deepdft.fields.free_atoms import FrozenCores
from deepdft.fields.walk import values_on
from deepdft.levels import LevelOfTheory
from deepdft.prediction.trained_model import TrainedModel


def frozen_cores(model: TrainedModel, atoms: Atoms) -> FrozenCores:
    """Return the cores that a model's densities leave out.

    Raises:
        ConfigurationError: if the model does not say how many electrons it leaves out, or its
            densities are pseudo-densities of PAW, which lack more than cores.
        UnsupportedStructureError: if there is no such core.
    """
    if model.level.core.casefold().startswith("paw"):
        raise ConfigurationError(
            f"The densities of the model '{model.name}' are pseudo-densities of PAW: next to the "
            "nuclei they lack more than the cores."
        )
    charges = model.core_charges(atoms)
    if charges is None:
        raise ConfigurationError(
            f"The model '{model.name}' does not say how many electrons it leaves out of "
            f"{', '.join(sorted(set(atoms.symbols)))}."
        )
    return FrozenCores(atoms, np.asarray(atoms.numbers) - charges, model.threads)


def with_cores(density: Density, cores: FrozenCores) -> Density:
    """Return a density with cores added; what was added up over the valence stays as it is."""
    return replace(
        density,
        values=density.values + values_on(cores, density.grid),
        level=level_with_cores(density.level),
        metadata={**density.metadata, "core_electrons": float(cores.electrons.sum())},
    )


def level_with_cores(level: LevelOfTheory) -> LevelOfTheory:
    """Return the level of theory of a density with frozen cores."""
    return replace(level, core=f"{level.core} with frozen cores")
