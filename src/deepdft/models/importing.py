"""Models of other origin turned into model folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ase.data import atomic_numbers

from deepdft.architectures.base import DensityModel
from deepdft.architectures.registry import create_model
from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory, completed_level
from deepdft.models.bundled import open_checkpoint
from deepdft.models.checkpoint import Checkpoint, save_checkpoint, transfer_weights


def import_model(
    source: str | Path,
    folder: str | Path,
    *,
    level: LevelOfTheory | None = None,
    elements: Sequence[str] | None = None,
) -> Checkpoint:
    """Write a model, in particular a checkpoint of the authors' released code, as a model folder.

    Args:
        source: the directory of the checkpoint.
        folder: a new folder.
        level: level of theory of the training data, where the source does not know it.
        elements: symbols of the elements to keep; default: all that the source has.

    Returns:
        What was written.

    Raises:
        ConfigurationError: if the folder exists, or an element is unknown.
        FileFormatError: if the source is damaged.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(f"{folder} exists already; give the name of a new folder.")
    checkpoint = open_checkpoint(source)
    if level is not None:
        checkpoint.level = completed_level(checkpoint.level, level)
    if elements is not None:
        checkpoint.network = _with_elements(checkpoint.network, elements)
    save_checkpoint(checkpoint, folder)
    return checkpoint


def _with_elements(network: DensityModel, symbols: Sequence[str]) -> DensityModel:
    unknown = [s for s in symbols if atomic_numbers.get(s) not in network.elements]
    if unknown or not symbols:
        what = f"'{unknown[0]}' is not an element" if unknown else "No element is one"
        raise ConfigurationError(f"{what} that the model has; give symbols such as H C N O.")
    numbers = [atomic_numbers[s] for s in symbols]
    kept = create_model(network.architecture.name, network.options.model_dump(), numbers)
    kept.to(next(network.parameters()).dtype)
    transfer_weights(network, kept)
    return kept.eval().requires_grad_(False)
