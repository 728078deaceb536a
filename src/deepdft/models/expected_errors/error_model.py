"""A model's error model: what its errors are expected to be, from the features of atoms.

It is fitted once, after training (`deepdft.uncertainty.fit`), and stored beside the model's weights
in one safetensors file, whose header holds what is not an array.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import ArrayLike, NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deepdft.arrays import FloatArray, IntegerArray
from deepdft.errors import (
    ConfigurationError,
    DeepDFTError,
    FileFormatError,
    StaleErrorModelError,
    UnsupportedStructureError,
)
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.levels import LevelOfTheory
from deepdft.models import released_layout as released
from deepdft.models.expected_errors.amplitudes import Amplitudes
from deepdft.models.expected_errors.calibration import Calibration
from deepdft.models.expected_errors.features import FeatureSpace, packed, unpacked
from deepdft.models.folder import ERRORS, WEIGHTS
from deepdft.storage.damage import DAMAGE, reason_of
from deepdft.storage.identities import ContentHash, file_identity
from deepdft.storage.whole_files import replace_file

FILE = ERRORS
FORMAT = 4
"""Format 1 had no calibration; before format 3 triangles were stored as squares, before format 4
the calibration had four numbers."""


@dataclass(frozen=True, eq=False)
class ErrorModel:
    """What is expected of a model's errors.

    Attributes:
        elements: chemical symbols it was fitted to.
        space: training statistics of features.
        amplitudes: regression of the atoms' shares of the error.
        cutoff: reach of the shares, Å.
        shapes: (elements, functions) coefficients of the shapes.
        electrons: (elements,) electrons of an atom, for eps_mae where the model's card has none.
        usual: (elements,) distance up to which atoms are usual: a high quantile in training.
        threshold: largest of distance / usual over the atoms of a structure up to which it is
            usual: a high quantile over structures of training and held out of it.
        ratios: quantiles (10 %, 90 %) of true / expected eps_mae, where it scatters as is usual.
        level: level of theory.
        about: how it was fitted, JSON-like.
        weights: SHA-256 of the weights whose errors it tells, once it is stored.
        calibration: of a structure's error as a whole, or None.
    """

    elements: tuple[str, ...]
    space: FeatureSpace
    amplitudes: Amplitudes
    cutoff: float
    shapes: FloatArray
    electrons: FloatArray
    usual: FloatArray
    threshold: float
    ratios: tuple[float, float]
    level: LevelOfTheory
    about: dict[str, Any] = field(default_factory=dict)
    weights: str = ""
    calibration: Calibration | None = None

    @cached_property
    def tables(self) -> AtomicDensityTables:
        """The shapes, 1/Å^3, of integral one."""
        from deepdft.models.expected_errors.shapes import (  # imports much of SciPy
            error_basis,
            shape_tables,
        )

        return shape_tables(self.elements, self.shapes, error_basis(self.cutoff), self.level)

    @cached_property
    def identity(self) -> str:
        """SHA-256 of all that expected errors depend on, and of the weights they belong to."""
        known = [self.weights, self.elements, self.cutoff, self.amplitudes.exponent]
        known += [] if self.calibration is None else [self.calibration.numbers]
        digest = ContentHash()
        digest.add("error model", known)
        for name, array in sorted(_arrays(self).items()):
            digest.add(name, array)
        return digest.result()

    def species(self, numbers: ArrayLike) -> IntegerArray:
        """Return the index of each atomic number in `elements`.

        Raises:
            UnsupportedStructureError: naming elements that it was not fitted to.
        """
        known = {atomic_numbers[symbol]: index for index, symbol in enumerate(self.elements)}
        unique, inverse = np.unique(np.asarray(numbers, dtype=np.int64), return_inverse=True)
        missing = [symbol for symbol, z in atomic_numbers.items() if z in unique and z not in known]
        if missing:
            raise UnsupportedStructureError(
                f"No error can be expected for {', '.join(missing)}: the error model was fitted to "
                f"{', '.join(self.elements)}; fit it again to data that hold all of them."
            )
        return np.array([known[int(z)] for z in unique], dtype=np.int64)[inverse.ravel()]

    def of_atoms(
        self, features: FloatArray, species: IntegerArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return expected shares of the error (electrons) and relative distances, (atoms,) each.

        Args:
            features: (atoms, D).
            species: (atoms,) index of each atom's element.
        """
        coordinates, distances = self.space.locate(features, species)
        shares = self.amplitudes.predict(coordinates, distances, species)
        return shares, distances / self.usual[species]


def weights_identity(folder: str | Path) -> str:
    """Return the SHA-256 of the weights in a model folder."""
    paths = [Path(folder) / name for name in (WEIGHTS, released.WEIGHTS)]
    path = next((path for path in paths if path.exists()), paths[0])
    return file_identity(path)


def require_error_model(folder: Path | None, name: str) -> ErrorModel:
    """Return the error model of a model folder.

    Args:
        folder: the folder, or None for a model that was never on disk.
        name: what the model is called.

    Raises:
        ConfigurationError: if there is none.
        StaleErrorModelError: if it was fitted to errors of other weights.
        FileFormatError: if its file is damaged.
    """
    command = f"'deepdft uncertainty {name} DATA --train FILE:train --split FILE:validation'"
    found = None if folder is None else load_error_model(folder)
    if found is None or folder is None:
        raise ConfigurationError(
            f"The model '{name}' does not know its errors yet; fit what to expect to structures "
            f"held out of its training, once, with {command}."
        )
    if found.weights != weights_identity(folder):
        raise StaleErrorModelError(
            f"The weights of the model '{name}' have changed since its errors were looked at; "
            f"repeat {command}."
        )
    return found


def require_writable(folder: Path | None) -> None:
    """Raise `ConfigurationError` if an error model could not be stored in a model folder."""
    if folder is None or not os.access(folder, os.W_OK):
        raise ConfigurationError(
            f"The model folder {folder} cannot be written to; copy it, and give the copy."
        )


def save_error_model(model: ErrorModel, folder: str | Path) -> Path:
    """Write an error model into the folder of its model; it appears whole or not at all."""
    path = Path(folder) / FILE
    description = {
        "format": FORMAT,
        "elements": model.elements,
        "cutoff": model.cutoff,
        "exponent": model.amplitudes.exponent,
        "penalty": model.amplitudes.penalty,
        "threshold": model.threshold,
        "ratios": model.ratios,
        "level": model.level.to_dict(),
        "weights": weights_identity(folder),
        "about": model.about,
        "calibration": None if model.calibration is None else asdict(model.calibration),
    }
    content = save(dict(_arrays(model)), {"description": json.dumps(description)})
    replace_file(path, content)
    return path


def _arrays(model: ErrorModel) -> dict[str, NDArray[Any]]:
    """Return the arrays as they are stored."""
    space, amplitudes = model.space, model.amplitudes
    arrays: dict[str, FloatArray] = {
        "means": space.means, "scales": space.scales, "variances": space.variances,
        "whitening": packed(space.whitening), "leftovers": space.leftovers,
        "intercepts": amplitudes.intercepts, "weights": amplitudes.weights,
        "limits": amplitudes.limits, "shapes": model.shapes, "electrons": model.electrons,
        "usual": model.usual,
    }  # fmt: skip
    stored: dict[str, NDArray[Any]] = {
        name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()
    }
    stored["components"] = np.ascontiguousarray(space.components, dtype=np.float16)
    return stored


def load_error_model(folder: str | Path) -> ErrorModel | None:
    """Read the error model of a model folder; None where there is none.

    Raises:
        FileFormatError: if the file is damaged or of an unknown format.
    """
    path = Path(folder) / FILE
    if not path.exists():
        return None
    if not path.is_file():
        raise FileFormatError(f"{path} is no regular file.")
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {})["description"])
            arrays = {name: file.get_tensor(name).astype(np.float64) for name in file.keys()}  # noqa: SIM118
        if description["format"] not in range(1, FORMAT + 1):
            raise FileFormatError(
                f"{path} has format {description['format']}, which this version of deepdft does "
                "not know; use a newer one, or fit it again with 'deepdft uncertainty'."
            )
        return _assembled(description, arrays)
    except FileFormatError:
        raise
    except (*DAMAGE, SafetensorError, DeepDFTError) as error:
        raise FileFormatError(
            f"{path} does not hold an error model ({reason_of(error)}); fit it again with 'deepdft "
            "uncertainty'."
        ) from None


def _assembled(description: Mapping[str, Any], arrays: Mapping[str, FloatArray]) -> ErrorModel:
    whitening = arrays["whitening"]
    if description["format"] >= 3:
        whitening = unpacked(whitening, len(arrays["variances"]))
    space = FeatureSpace(
        arrays["means"], arrays["scales"], arrays["components"], arrays["variances"],
        whitening, arrays["leftovers"],
    )  # fmt: skip
    amplitudes = Amplitudes(
        arrays["intercepts"], arrays["weights"], arrays["limits"], float(description["exponent"]),
        float(description["penalty"]),
    )  # fmt: skip
    for name, array in arrays.items():
        # Features that do not vary are divided by infinity, so that they say nothing.
        if not (array > 0 if name == "scales" else np.isfinite(array)).all():
            raise ValueError(f"'{name}' has values that are not finite")
    low, high = description["ratios"]
    stored = description.get("calibration")
    return ErrorModel(
        tuple(description["elements"]), space, amplitudes, float(description["cutoff"]),
        arrays["shapes"], arrays["electrons"], arrays["usual"], float(description["threshold"]),
        (float(low), float(high)), LevelOfTheory.from_dict(description["level"]),
        dict(description["about"]), str(description["weights"]),
        None if stored is None else Calibration.from_stored(stored),
    )  # fmt: skip
