"""Models of other origin turned into model folders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ase.data import atomic_numbers

from deepdft.errors import ConfigurationError
from deepdft.levels import LevelOfTheory, completed_level
from deepdft.models.bundled import open_checkpoint
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint


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
        checkpoint = replace(checkpoint, level=completed_level(checkpoint.level, level))
    if elements is not None:
        checkpoint = with_elements(checkpoint, elements)
    save_checkpoint(checkpoint, folder)
    return checkpoint


def with_elements(checkpoint: Checkpoint, symbols: Sequence[str]) -> Checkpoint:
    """Return a model that knows only some of a model's elements.

    Raises:
        ConfigurationError: if the model does not have them, or there are none.
    """
    unknown = [s for s in symbols if atomic_numbers.get(s) not in checkpoint.elements]
    if unknown or not symbols:
        what = f"'{unknown[0]}' is not an element" if unknown else "No element is one"
        raise ConfigurationError(f"{what} that the model has; give symbols such as H C N O.")
    numbers = tuple(sorted({atomic_numbers[s] for s in symbols}))
    rows = [checkpoint.elements.index(z) for z in numbers]
    per_element = checkpoint.about.per_element
    weights = {
        name: array[rows] if name in per_element else array
        for name, array in checkpoint.weights.items()
    }
    return replace(checkpoint, elements=numbers, weights=weights)
