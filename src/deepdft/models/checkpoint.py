"""Models on disk: `model.safetensors` (weights) and `model.json` (everything else) in a folder.

Nothing in these files can run code when they are opened.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from ase.data import atomic_numbers, chemical_symbols
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from deepdft.architectures.base import DensityModel
from deepdft.architectures.registry import create_model
from deepdft.errors import FileFormatError
from deepdft.levels import LevelOfTheory

FORMAT = 1
WEIGHTS = "model.safetensors"
DESCRIPTION = "model.json"


@dataclass
class Checkpoint:
    """A network with what is needed to use it.

    Attributes:
        network: the network, in evaluation mode.
        level: level of theory of the densities it was trained on.
        baseline: name of the atomic tables below the network, or None.
        card: the model card: data, split, measured errors, cost.
    """

    network: DensityModel
    level: LevelOfTheory
    baseline: str | None = None
    card: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(checkpoint: Checkpoint, folder: str | Path) -> None:
    """Write a model folder; each file is written beside and renamed, so none is ever half there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    network = checkpoint.network
    description = {
        "format": FORMAT,
        "architecture": network.architecture.name,
        "options": network.options.model_dump(),
        "elements": [chemical_symbols[z] for z in network.elements],
        "baseline": checkpoint.baseline,
        "level": checkpoint.level.to_dict(),
        "card": checkpoint.card,
    }
    tensors = {
        name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()
    }
    weights_beside = folder / f".{WEIGHTS}.{os.getpid()}"
    description_beside = folder / f".{DESCRIPTION}.{os.getpid()}"
    try:
        save_file(tensors, weights_beside)
        description_beside.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
        # safetensors creates files that only their owner can read.
        weights_beside.chmod(description_beside.stat().st_mode)
        os.replace(weights_beside, folder / WEIGHTS)
        os.replace(description_beside, folder / DESCRIPTION)
    finally:
        weights_beside.unlink(missing_ok=True)
        description_beside.unlink(missing_ok=True)


def read_description(folder: str | Path) -> dict[str, Any]:
    """Return the content of a model folder's `model.json`.

    Raises:
        FileFormatError: if it is missing or is not a model description of a known format.
    """
    path = Path(folder) / DESCRIPTION
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileFormatError(
            f"{folder} is not a model folder: {DESCRIPTION} cannot be read ({error.strerror})."
        ) from None
    except ValueError as error:
        raise FileFormatError(f"{path} is not valid JSON: {error}.") from None
    required = {"format", "architecture", "options", "elements", "level"}
    if not isinstance(description, dict) or not required <= set(description):
        raise FileFormatError(f"{path} is not the description of a deepdft model.")
    if description["format"] != FORMAT:
        raise FileFormatError(
            f"{path} has format {description['format']}, which this version of deepdft does not "
            "know; use a newer one."
        )
    return description


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a model folder.

    Raises:
        FileFormatError: if a file is missing, damaged or does not fit the other.
    """
    folder = Path(folder)
    description = read_description(folder)
    try:
        elements = [atomic_numbers[symbol] for symbol in description["elements"]]
    except KeyError as error:
        raise FileFormatError(f"{folder / DESCRIPTION} names an unknown element {error}.") from None
    network = create_model(description["architecture"], description["options"], elements)
    try:
        weights = load_file(folder / WEIGHTS)
        # As stored: double precision is not rounded on the way.
        network.to(next((w.dtype for w in weights.values()), torch.float32))
        network.load_state_dict(weights)
    except (OSError, SafetensorError, RuntimeError) as error:
        first_line = str(error).splitlines()[0]
        raise FileFormatError(
            f"The weights {folder / WEIGHTS} cannot be used: {first_line}"
        ) from None
    network.eval().requires_grad_(False)
    return Checkpoint(
        network,
        LevelOfTheory.from_dict(description["level"]),
        description.get("baseline"),
        description.get("card", {}),
    )


def transfer_weights(source: DensityModel, target: DensityModel) -> None:
    """Copy the weights of `source` into `target`, element by element where they are per element.

    Elements that only `target` knows keep their fresh embeddings.

    Raises:
        FileFormatError: if the two are of different architecture or options.
    """
    if source.architecture.name != target.architecture.name or source.options != target.options:
        raise FileFormatError(
            "Only a model of the same architecture and options can be fine-tuned: "
            f"{source.architecture.name} {source.options} against "
            f"{target.architecture.name} {target.options}."
        )
    rows = [target.elements.index(z) for z in source.elements if z in target.elements]
    known = [i for i, z in enumerate(source.elements) if z in target.elements]
    found = source.state_dict()
    with torch.no_grad():
        for name, tensor in target.state_dict().items():
            if name in target.architecture.per_element:
                tensor[rows] = found[name][known].to(tensor)
            else:
                tensor.copy_(found[name])
