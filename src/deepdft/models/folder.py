"""Models on disk: a folder that holds all that a model needs, and no code.

    model.json                  architecture, options, elements, level of theory, card
    model.safetensors           weights
    atomic_densities.npz        atomic tables below the network, where there are some
    electrons.npz               where the number of electrons is corrected, once that is known
    uncertainty.safetensors     what errors to expect, once they have been looked at

A folder appears, and is replaced, as a whole. Folders of earlier formats are brought up to date
while they are read, by the functions in `deepdft.models.upgrades`.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import atomic_numbers
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from deepdft.architectures.registry import parse_options
from deepdft.arrays import Array
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.levels import LevelOfTheory
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.description import require_valid
from deepdft.models.upgrades import FORMAT, upgraded
from deepdft.storage.damage import reason_of
from deepdft.storage.identities import file_identity
from deepdft.storage.json_files import read_json
from deepdft.storage.replace import replacing

WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"
TABLES = "atomic_densities.npz"
ELECTRONS = "electrons.npz"
ERRORS = "uncertainty.safetensors"
_OWN = (WEIGHTS, DESCRIPTION, TABLES, ELECTRONS, ERRORS)


Weights = dict[str, NDArray[np.floating[Any]]]

_KINDS = {"F16": np.float32, "F32": np.float32, "F64": np.float64}
"""Types that weights are kept in, and what they become in memory."""


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Write a model folder; it takes the place of an older one as a whole.

    What errors to expect of the weights is kept, from the checkpoint or from the older folder. If
    it was of other weights, it is left out, with a warning.

    Raises:
        ConfigurationError: if the folder cannot be written, or holds something else as well, which
            would be lost.
    """
    folder = Path(folder)
    _require_replaceable(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "architecture": checkpoint.architecture,
        "options": checkpoint.options.model_dump(mode="json"),
        "elements": checkpoint.symbols,
        "baseline": checkpoint.baseline,
        "tables": None if checkpoint.tables is None else TABLES,
        "level": checkpoint.level.to_dict(),
        "card": checkpoint.card,
    }
    known = [errors for errors in (_errors(folder), checkpoint.expected_errors) if errors]
    with replacing(folder) as place:
        place.mkdir()
        (place / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        save_file(_stored(checkpoint.weights), place / WEIGHTS)
        # safetensors creates files that only their owner can read.
        (place / WEIGHTS).chmod((place / DESCRIPTION).stat().st_mode)
        if checkpoint.tables is not None:
            checkpoint.tables.of_elements(checkpoint.symbols).save(place / TABLES)
        if checkpoint.electron_shapes is not None:
            checkpoint.electron_shapes.save(place / ELECTRONS)
        identity = file_identity(place / WEIGHTS) if known else ""
        fitting = [errors for errors in known if _weights_of_errors(errors) == identity]
        if fitting:
            (place / ERRORS).write_bytes(fitting[0])
    if known and not fitting:
        warnings.warn(
            f"The weights in {folder} are not those whose errors were looked at, so what errors to "
            f"expect is left out; repeat 'deepdft uncertainty {folder} DATA ...'.",
            stacklevel=2,
        )


def in_half_precision(weights: Mapping[str, Array]) -> Weights:
    """Return weights rounded to half precision, which model folders then keep in half the space.

    Densities change by thousandths of a percent; `recipes/models/bundle.py` prints by how much.

    Raises:
        ConfigurationError: if a weight is larger than half precision can hold.
    """
    rounded = _halved(weights)
    if not all(np.isfinite(array).all() for array in rounded.values()):
        raise ConfigurationError("Weights above 65,504 have no place in half precision.")
    return {name: array.astype(weights[name].dtype) for name, array in rounded.items()}


def _stored(weights: Mapping[str, Array]) -> Weights:
    """Return weights as a file keeps them: in half precision where that loses nothing."""
    contiguous = {name: np.ascontiguousarray(array) for name, array in weights.items()}
    if any(array.dtype != np.float32 for array in contiguous.values()):
        return contiguous
    half = _halved(contiguous)
    same = all(np.array_equal(half[name], array) for name, array in contiguous.items())
    return half if same else contiguous


def _halved(weights: Mapping[str, Array]) -> Weights:
    """Return weights in half precision, infinite where it does not reach."""
    with np.errstate(over="ignore"):
        return {name: array.astype(np.float16) for name, array in weights.items()}


def _errors(folder: Path) -> bytes | None:
    path = folder / ERRORS
    return path.read_bytes() if path.is_file() else None


def _weights_of_errors(content: bytes) -> str | None:
    """Return the identity of the weights that an error model's file is about, if it says so."""
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return str(json.loads(header["__metadata__"]["description"])["weights"])
    except (ValueError, KeyError, TypeError):
        return None


def save_electron_shapes(shapes: AtomicDensityTables | None, folder: str | Path) -> None:
    """Write where the number of electrons is corrected into a model folder; None removes it."""
    path = Path(folder) / ELECTRONS
    if shapes is None:
        path.unlink(missing_ok=True)
    else:
        shapes.save(path)


def _require_replaceable(folder: Path) -> None:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    # Versions before format 2 left files of such names when they were killed.
    others = sorted(name for name in names if name not in _OWN and not name.startswith(".model."))
    if others:
        raise ConfigurationError(
            f"The folder {folder} holds {others[0]}, which is no part of a model, so it is not "
            "replaced by one; give another folder."
        )


def read_description(folder: str | Path) -> dict[str, Any]:
    """Return the content of a model folder's `model.json`, in today's format.

    Raises:
        FileFormatError: if it is missing or is not a model description of a known format.
    """
    path = Path(folder) / DESCRIPTION
    if not path.exists():
        raise FileFormatError(
            f"{folder} is not a model folder: {DESCRIPTION} cannot be read (there is none)."
        )
    description = read_json(path)
    required = {"format", "architecture", "options", "elements", "level"}
    if not isinstance(description, dict) or not required <= set(description):
        raise FileFormatError(f"{path} is not the description of a deepdft model.")
    description = upgraded(description, path)
    if description.get("card") is None:
        description["card"] = {}
    require_valid(description, path)
    return description


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a model folder, without torch.

    Raises:
        FileFormatError: if a file is missing or damaged.
        ConfigurationError: if the architecture or an option of it is unknown.
    """
    folder = Path(folder)
    description = read_description(folder)
    elements = tuple(sorted(atomic_numbers[symbol] for symbol in description["elements"]))
    options = parse_options(description["architecture"], description["options"])
    return Checkpoint(
        description["architecture"],
        options,
        elements,
        read_weights(folder / WEIGHTS),
        LevelOfTheory.from_dict(description["level"]),
        description.get("baseline"),
        description["card"],
        _tables(folder, description),
        _errors(folder),
        AtomicDensityTables.read(folder / ELECTRONS) if (folder / ELECTRONS).exists() else None,
    )


def read_weights(path: Path) -> Weights:
    """Return the weights in a safetensors file, all finite, in float32 (half as well) or float64.

    Raises:
        FileFormatError: if it is damaged or holds anything else.
    """
    begin = f"The weights {path} cannot be used"
    if not path.is_file():
        raise FileFormatError(f"{begin}: there is no such file.")
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            kinds = {name: str(file.get_slice(name).get_dtype()) for name in names}
            other = next((name for name in names if kinds[name] not in _KINDS), None)
            if other is not None:
                raise FileFormatError(
                    f"{begin}: '{other[:60]}' is of the type {kinds[other]}; weights are "
                    "F16, F32 or F64."
                )
            weights = {name: file.get_tensor(name).astype(_KINDS[kinds[name]]) for name in names}
    except (OSError, SafetensorError, ValueError, TypeError) as error:
        raise FileFormatError(f"{begin}: {reason_of(error)}") from None
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise FileFormatError(f"{begin}: '{name[:60]}' has values that are not finite.")
    return weights


def _tables(folder: Path, description: dict[str, Any]) -> AtomicDensityTables | None:
    if description.get("tables") is not None:
        return AtomicDensityTables.read(folder / TABLES)
    baseline = description.get("baseline")
    if baseline is not None and baseline not in AtomicDensityTables.shipped():
        # Never a path: a folder of strangers names nothing outside itself.
        raise FileFormatError(
            f"{folder / DESCRIPTION}: there are no atomic density tables {baseline[:80]!r}; "
            f"shipped are {', '.join(AtomicDensityTables.shipped())}."
        )
    return None
