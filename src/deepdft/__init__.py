"""Electron densities of molecules, crystals and liquids, predicted in linear time.

import deepdft

density = deepdft.predict(atoms)         # an ASE structure in, a Density out
density.write("density.cube")

model = deepdft.load_model("default")
model.density_at(atoms, points)          # any points, e/Å^3

deepdft.properties(atoms).charges        # charges, dipole, energy, ...
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepdft.data import open_dataset
    from deepdft.density import Density, Grid
    from deepdft.electronic.properties import properties
    from deepdft.errors import DeepDFTError
    from deepdft.evaluation.evaluate import evaluate
    from deepdft.formats import read, write
    from deepdft.levels import LevelOfTheory
    from deepdft.plotting.views import view
    from deepdft.prediction.predict import predict
    from deepdft.prediction.trained_model import load_model
    from deepdft.training import train

__version__ = "0.1.0"

# Loaded on first use, so that `import deepdft` and `deepdft --help` are quick.
_HOME = {
    "DeepDFTError": "deepdft.errors",
    "Density": "deepdft.density",
    "Grid": "deepdft.density",
    "LevelOfTheory": "deepdft.levels",
    "evaluate": "deepdft.evaluation.evaluate",
    "load_model": "deepdft.prediction",
    "open_dataset": "deepdft.data",
    "predict": "deepdft.prediction",
    "properties": "deepdft.electronic.properties",
    "read": "deepdft.formats",
    "train": "deepdft.training",
    "view": "deepdft.plotting.views",
    "write": "deepdft.formats",
}

__all__ = [
    "DeepDFTError",
    "Density",
    "Grid",
    "LevelOfTheory",
    "evaluate",
    "load_model",
    "open_dataset",
    "predict",
    "properties",
    "read",
    "train",
    "view",
    "write",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(_imported(_HOME[name], name), name)
    raise AttributeError(f"module 'deepdft' has no attribute '{name}'")


def _imported(module: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        from deepdft.extras import missing_extra

        missing = missing_extra(error, f"deepdft.{name}")
        if missing is None:
            raise
        raise missing from None


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
