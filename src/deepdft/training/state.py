"""The state in which a run was left: what of it has to fit before the run can go on."""

from __future__ import annotations

import hashlib
import json
import pickle
from pathlib import Path
from typing import Any

import torch

from deepdft.architectures import parse_options
from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.training.config import ModelConfig


class LeftState:
    """A trainer state on disk.

    Attributes:
        step: optimiser steps done.
        elements: of its network, if it tells (a fine-tuning run knows more than its data hold).

    Args:
        path: the file.

    Raises:
        FileFormatError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = torch.load(path, map_location="cpu", weights_only=True)
            self.step = int(content["global_step"])
            self._network: dict[str, Any] | None = content.get("network")
            self._data: dict[str, Any] | None = content.get("data")
            self.elements: list[int] | None = (
                None if self._network is None else self._network["elements"]
            )
        except (
            OSError, RuntimeError, EOFError, pickle.UnpicklingError, LookupError, TypeError,
            AttributeError, ValueError,
        ) as error:  # fmt: skip
            first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FileFormatError(
                f"The trainer state {path} is damaged and cannot be resumed: {first_line}"
            ) from None

    def require_network(self, model: ModelConfig) -> None:
        """Raise `ConfigurationError` if the state is that of another network."""
        if self._network is None:
            return
        options = parse_options(model.architecture, model.options).model_dump()
        found = self._network["architecture"], self._network["options"]
        if found != (model.architecture, options):
            raise ConfigurationError(
                f"The run in {self.path.parent} trains {found[0]} {found[1]}; it cannot go on as "
                f"{model.architecture} {options}."
            )

    def require_data(self, training: DensityDataset, validation: DensityDataset) -> None:
        """Raise `ConfigurationError` if the run saw other structures until now."""
        now = data_identity(training, validation)
        if self._data is None or self._data == now:
            return
        counts = [f"{d['training']} and {d['validation']}" for d in (self._data, now)]
        raise ConfigurationError(
            f"The data of the run in {self.path.parent} have changed: it began with {counts[0]} "
            f"structures to train on and to validate with, now there are {counts[1]}, not all of "
            "the same names in the same order; bring back the data, or begin another run_directory."
        )


def data_identity(training: DensityDataset, validation: DensityDataset) -> dict[str, Any]:
    """Return what tells the data of one run from those of another: counts and names in order."""
    names = json.dumps([training.names, validation.names])
    return {
        "training": len(training),
        "validation": len(validation),
        "names": hashlib.sha256(names.encode()).hexdigest(),
    }
