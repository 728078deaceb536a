"""The state in which a run was left: what of it has to fit before the run can go on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from ase.data import chemical_symbols

from deepdft.architectures import parse_options
from deepdft.data import DensityDataset
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.models.torch_files import read_tensors
from deepdft.storage.damage import DAMAGE, reason_of, reported
from deepdft.training.config import ModelConfig
from deepdft.training.optimizer_state import require_optimizer_state

_MOST_STEPS = 10**12
_PROGRESS = "epoch_loop.automatic_optimization.optim_progress"


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
            content = read_tensors(path)
        except FileFormatError as error:
            raise FileFormatError(f"The trainer state cannot be resumed: {error}") from None
        with reported(*self._damaged()):
            _require_parts(content)
            self.step = int(content["global_step"])
            self._state: dict[str, Any] = content["state_dict"]
            self._optimizers: list[Any] = content["optimizer_states"]
            self._schedules: list[Any] = content["lr_schedulers"]
            self._network: dict[str, Any] | None = content.get("network")
            self._data: dict[str, Any] | None = content.get("data")
            self.elements: list[int] | None = None
            if self._network is not None:
                self.elements = [int(z) for z in self._network["elements"]]
                if not all(0 < z < len(chemical_symbols) for z in self.elements):
                    raise ValueError("its network knows elements that there are not")
                if not isinstance(self._network["options"], dict):
                    raise ValueError("its network has no options")
                str(self._network["architecture"])

    def _damaged(self) -> tuple[str, str]:
        return f"The trainer state {self.path}", "is damaged and cannot be resumed"

    def require_weights(self, module: torch.nn.Module) -> None:
        """Raise `FileFormatError` if the weights in the state are not those of a module."""
        expected = module.state_dict()
        for name, tensor in expected.items():
            found = self._state.get(name)
            if not isinstance(found, torch.Tensor) or found.shape != tensor.shape:
                raise FileFormatError(f"{' '.join(self._damaged())}: '{name}' does not fit.")
            if not bool(torch.isfinite(found).all()):
                raise FileFormatError(
                    f"{' '.join(self._damaged())}: '{name}' has values that are not finite."
                )
        if other := next(iter(set(self._state) - set(expected)), None):
            raise FileFormatError(f"{' '.join(self._damaged())}: '{other}' is no weight.")

    def require_optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        """Raise `FileFormatError` if the optimiser in the state is not one like this."""
        with reported(*self._damaged()):
            require_optimizer_state(self._optimizers, self._schedules, optimizer)

    @contextmanager
    def restored(self, has_begun: Callable[[], bool]) -> Iterator[None]:
        """Turn what a damaged state does to the trainer into a sentence.

        Args:
            has_begun: whether the run goes on; from then on errors are its own.

        Raises:
            FileFormatError: if the state cannot be taken up.
        """
        try:
            yield
        except (DeepDFTError, OSError, MemoryError):
            raise
        except DAMAGE as error:
            if has_begun():
                raise
            reason = reason_of(error).rstrip(".")
            raise FileFormatError(f"{' '.join(self._damaged())}: {reason}.") from error

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


_PARTS: dict[str, type] = {
    "global_step": int,
    "epoch": int,
    "state_dict": dict,
    "loops": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
}


def _require_parts(content: Any) -> None:
    """Raise `ValueError` if a state lacks what every trainer state has."""
    if not isinstance(content, dict):
        raise ValueError("it is no trainer state")
    for name, kind in _PARTS.items():
        if not isinstance(content.get(name), kind):
            raise ValueError(f"'{name}' is missing or of another type")
    if not 0 <= content["global_step"] <= _MOST_STEPS:
        raise ValueError("it claims a senseless number of steps")
    # Lightning goes by this count.
    progress = content["loops"]["fit_loop"][_PROGRESS]["optimizer"]["step"]["total"]["completed"]
    if progress != content["global_step"] or not isinstance(content.get("steps_left_out", 0), int):
        raise ValueError("its counts of steps do not agree")


def data_identity(training: DensityDataset, validation: DensityDataset) -> dict[str, Any]:
    """Return what tells the data of one run from those of another: counts and names in order."""
    names = json.dumps([training.names, validation.names])
    return {
        "training": len(training),
        "validation": len(validation),
        "names": hashlib.sha256(names.encode()).hexdigest(),
    }
