"""What a training run needs before its first step: settings, data, network, what is resumed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from ase.data import chemical_symbols

from deepdft.architectures import DensityModel, create_model
from deepdft.data import (
    DensityDataset,
    open_dataset,
    random_split,
    read_split,
    shuffled_with_elements_first,
)
from deepdft.errors import ConfigurationError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.models.bundled import open_checkpoint
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.networks import transfer_weights
from deepdft.prediction.electrons import integrals_of
from deepdft.threads import is_first_process
from deepdft.training.card import described_start, model_card, recorded_start
from deepdft.training.config import TrainConfig
from deepdft.training.settings import all_changes, settings_from_model, settings_of_resumed
from deepdft.training.state import LeftState
from deepdft.training.trainer import BEST, STATE

_COUNTED = 5
"""Structures whose electrons are compared with those of atoms; grids have to be read for that."""

_MISSING = 0.02
"""Of the electrons; a core shell, or a semi-core, is more."""


@dataclass(frozen=True)
class Baseline:
    """Superposed atoms below a network.

    Attributes:
        name: of the tables; None without.
        tables: of the atoms; None without.
    """

    name: str | None = None
    tables: AtomicDensityTables | None = None


@dataclass(frozen=True)
class PreparedRun:
    """A run that may begin.

    Attributes:
        config: all settings; those of a resumed run or of the model it begins with are taken over.
        training_data: what it learns from.
        validation_data: what chooses the best weights.
        baseline: superposed atoms, that of the model that is fine-tuned if it has all elements.
        network: new, with the weights of `parent` if there is one.
        parent: the model that is fine-tuned.
        started_from: what the card says of it.
        state: where a resumed run stopped.
        changes: settings of a resumed run that differ from now on, before and after.
        changed: these and earlier ones, for the card.
    """

    config: TrainConfig
    training_data: DensityDataset
    validation_data: DensityDataset
    baseline: Baseline
    network: DensityModel
    parent: Checkpoint | None
    started_from: dict[str, object] | None
    state: LeftState | None
    changes: dict[str, tuple[Any, Any]]
    changed: list[dict[str, Any]]

    @property
    def directory(self) -> Path:
        """Where the run writes."""
        return Path(self.config.run_directory)

    @property
    def step(self) -> int:
        """Optimiser steps that are done."""
        return 0 if self.state is None else self.state.step

    def description(self) -> Checkpoint:
        """Return the model that the run makes, with its card, but for what is measured."""
        card = model_card(
            self.config,
            self.training_data,
            self.validation_data,
            self.started_from,
            self.changed,
        )
        below = self.baseline
        return Checkpoint.of_network(
            self.network, self.training_data.level, below.name, card, below.tables
        )


def prepare(config: TrainConfig, start_from: str | Path | None, resume: bool) -> PreparedRun:
    """Read and check everything that a run needs; see `deepdft.training.train`."""
    directory = Path(config.run_directory)
    state = _state_to_resume(directory, resume)
    parent = None
    changes: dict[str, tuple[Any, Any]] = {}
    if state is not None:
        # The weights of a resumed run are in its state.
        config, changes = settings_of_resumed(config, directory)
        started_from = recorded_start(directory / BEST)
        _require_same_start(directory, started_from, start_from)
    else:
        parent = None if start_from is None else open_checkpoint(start_from)
        if parent is not None:
            config = settings_from_model(config, parent, str(start_from))
        started_from = described_start(start_from, parent)
    training_data, validation_data = _split(config)
    _require_known_elements(training_data, validation_data)
    baseline = _baseline(config, training_data, _left(directory) if state else parent)
    if state is not None:
        state.require_network(config.model)
        state.require_data(training_data, validation_data)
    network = _network(config, training_data, parent, state)
    changed = all_changes(directory, 0 if state is None else state.step, changes)
    return PreparedRun(
        config, training_data, validation_data, baseline, network, parent, started_from, state,
        changes, changed,
    )  # fmt: skip


def _state_to_resume(directory: Path, resume: bool) -> LeftState | None:
    path = directory / STATE
    if resume and not path.exists():
        raise ConfigurationError(
            f"There is nothing to resume in {directory}: {STATE} is missing; leave out --resume."
        )
    if not resume and path.exists() and is_first_process():
        raise ConfigurationError(
            f"{directory} already holds a run; pass --resume to go on with it, or give another "
            "run_directory."
        )
    return LeftState(path) if resume else None


def _require_same_start(
    directory: Path, recorded: dict[str, object] | None, start_from: str | Path | None
) -> None:
    """Refuse to go on from another model than a run began with."""
    if start_from is None or (recorded is not None and recorded["model"] == str(start_from)):
        return
    began = "without a model" if recorded is None else f"with the model {recorded['model']}"
    raise ConfigurationError(
        f"The run in {directory} began {began}; it cannot go on with --from {start_from}. Leave "
        "--from out, or begin another run_directory."
    )


def _require_known_elements(training: DensityDataset, validation: DensityDataset) -> None:
    missing = sorted(set(validation.elements()) - set(training.elements()))
    if missing:
        raise ConfigurationError(
            f"The validation structures hold {', '.join(chemical_symbols[z] for z in missing)}, "
            "which no training structure does; choose another split."
        )


def _split(config: TrainConfig) -> tuple[DensityDataset, DensityDataset]:
    if not config.data.paths:
        raise ConfigurationError("The configuration names no data; set data.paths.")
    dataset = open_dataset(config.data.paths, config.data.level, mix_levels=config.data.mix_levels)
    if config.data.split is None:
        parts = random_split(len(dataset), config.data.validation_count, config.seed)
    else:
        parts = read_split(config.data.split, dataset)
        missing = [part for part in ("train", "validation") if not parts.get(part)]
        if missing:
            raise ConfigurationError(f"{config.data.split} has no structures under '{missing[0]}'.")
    train_part = parts["train"]
    if config.data.train_seed is not None:
        train_part = shuffled_with_elements_first(dataset, train_part, config.data.train_seed)
    chosen = train_part[: config.data.max_train]
    return dataset.subset(chosen), dataset.subset(parts["validation"])


def _left(directory: Path) -> Checkpoint | None:
    """Return the best model so far of a run that goes on, if there is one."""
    return open_checkpoint(directory / BEST) if (directory / BEST).exists() else None


def _baseline(config: TrainConfig, data: DensityDataset, earlier: Checkpoint | None) -> Baseline:
    """Return the atoms of the model begun with, on which its network builds, if they serve.

    They need not be of the data's level of theory, as long as they have as many electrons: with
    other atoms below, all that the network knows would be off by the difference.
    """
    if config.model.baseline == "none":
        return Baseline()
    if earlier is not None and earlier.tables is not None and _serve(earlier.tables, data):
        return Baseline(earlier.baseline, earlier.tables)
    name = tables_for_level(data.level, data.elements())
    return Baseline(name, AtomicDensityTables.load(name))


def _serve(tables: AtomicDensityTables, data: DensityDataset) -> bool:
    """Return whether atoms have all elements of the data, and the electrons of some structures."""
    if not {chemical_symbols[z] for z in data.elements()} <= set(tables.elements):
        return False
    for index in range(min(_COUNTED, len(data))):
        atoms = data.preview(index)
        neutral = float(integrals_of(tables, atoms).sum())
        expected = neutral - float(atoms.info.get("charge") or 0.0)
        if abs(data.n_electrons(index) - expected) > _MISSING * neutral:
            return False
    return True


def _network(
    config: TrainConfig, data: DensityDataset, parent: Checkpoint | None, state: LeftState | None
) -> DensityModel:
    pytorch_lightning.seed_everything(config.seed, verbose=False)
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    elements = data.elements()
    if state is not None:
        # A fine-tuning run knows more elements than its data.
        elements = state.elements or elements
    elif parent is not None:
        elements = sorted({*elements, *parent.network.elements})
    network = create_model(config.model.architecture, config.model.options, elements)
    if parent is not None:
        transfer_weights(parent.network, network)
    return network
