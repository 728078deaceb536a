"""A training run from configuration to best model."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning
import torch
from ase.data import chemical_symbols
from pytorch_lightning.accelerators import CPUAccelerator
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import DataLoader

from deepdft.architectures import DensityModel, create_model, parse_options
from deepdft.data import (
    DensityDataset,
    open_dataset,
    random_split,
    read_split,
    shuffled_with_elements_first,
)
from deepdft.errors import ConfigurationError, FileFormatError
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.models.bundled import open_checkpoint
from deepdft.models.checkpoint import Checkpoint, transfer_weights
from deepdft.storage.whole_files import replace_file
from deepdft.threads import available_threads
from deepdft.training.batches import BatchBuilder, TrainingBatches, ValidationBatches
from deepdft.training.callbacks import RenamedCheckpointIO, SaveBestModel, StepBookkeeping
from deepdft.training.card import described_start, model_card, recorded_start
from deepdft.training.config import ModelConfig, TrainConfig, TrainerConfig, read_config
from deepdft.training.module import DensityTraining

STATE = "trainer_state.ckpt"
BEST = "best"


@dataclass(frozen=True)
class TrainingResult:
    """Outcome of a run.

    Attributes:
        folder: model folder with the best weights.
        eps_mae: best validation eps_mae, a fraction.
        steps: optimiser steps done.
        structures_per_second: in training, without validation.
        probes_per_second: likewise.
        eps_mae_before: in fine-tuning, validation eps_mae of the model that it began with.
    """

    folder: Path
    eps_mae: float
    steps: int
    structures_per_second: float
    probes_per_second: float
    eps_mae_before: float | None = None


def train(
    config: TrainConfig, *, start_from: str | Path | None = None, resume: bool = False
) -> TrainingResult:
    """Train a model; see `TrainConfig` for what can be chosen.

    The run directory receives `config.yaml` (full configuration), `best/` (the best model so far),
    `trainer_state.ckpt` (for `resume`) and the logs. A model to fine-tune counts among the best.

    Args:
        config: the run.
        start_from: folder or name of a model to fine-tune; a configuration that says nothing of
            the model takes over its architecture, options and baseline.
        resume: go on with the run in the same directory.

    Raises:
        ConfigurationError: if data and configuration do not fit.
    """
    directory = Path(config.run_directory)
    state = directory / STATE
    if resume and not state.exists():
        raise ConfigurationError(
            f"There is nothing to resume in {directory}: {STATE} is missing; leave out --resume."
        )
    if not resume and state.exists() and not _is_worker():
        raise ConfigurationError(
            f"{directory} already holds a run; pass --resume to go on with it, or give another "
            "run_directory."
        )
    # The weights of a resumed run are in its state.
    parent = None if start_from is None or resume else open_checkpoint(start_from)
    config = _with_inherited_model(config, parent, resume)
    if parent is not None:
        _require_same_baseline(config, parent, start_from)
    training_data, validation_data = _split(config)
    _require_known_elements(training_data, validation_data)
    baseline_name = _baseline(config, training_data)
    baseline = None if baseline_name is None else AtomicDensityTables.load(baseline_name)
    network = _network(config, training_data, parent, state if resume else None)
    directory.mkdir(parents=True, exist_ok=True)
    replace_file(directory / "config.yaml", config.with_absolute_paths().to_yaml().encode())

    builder, validation_builder = (
        BatchBuilder(
            data,
            network.cutoff,
            baseline,
            directions=network.architecture.uses_directions,
            atom_cutoff=network.atom_cutoff,
            reach=network.sampling_reach,
        )
        for data in (training_data, validation_data)
    )
    batches = TrainingBatches(
        builder, config.sampling, config.seed, config.trainer.validation_interval
    )
    validation = ValidationBatches(
        validation_builder,
        config.trainer.validation_probes,
        config.seed,
    )
    description = Checkpoint(
        network,
        training_data.level,
        baseline_name,
        model_card(
            config,
            training_data,
            validation_data,
            recorded_start(directory / BEST) if resume else described_start(start_from, parent),
        ),
    )
    best = SaveBestModel(directory / BEST, description)
    bookkeeping = StepBookkeeping(batches)
    trainer = _trainer(config, directory, [bookkeeping, best])
    batches.workers = drawing_threads(config.trainer, trainer)
    if config.trainer.threads is None and not isinstance(trainer.accelerator, CPUAccelerator):
        # The processor only draws: a thread for each worker.
        torch.set_num_threads(1)
    module = DensityTraining(network, config.optimizer, config.trainer.max_steps)
    validation_loader = DataLoader(validation, batch_size=None)
    before = None
    with _without_advice():
        if parent is not None:
            # A fine-tuned model must not be worse than what it was before.
            trainer.validate(module, validation_loader, verbose=False)
            before = best.error
        trainer.fit(
            module,
            DataLoader(batches, batch_size=None),
            validation_loader,
            ckpt_path=str(state) if resume else None,
            weights_only=True,
        )
    seconds = bookkeeping.seconds or float("nan")
    return TrainingResult(
        directory / BEST,
        best.error,
        trainer.global_step,
        bookkeeping.structures / seconds,
        bookkeeping.probes / seconds,
        before,
    )


@contextmanager
def _without_advice() -> Iterator[None]:
    """Silence Lightning's hints that do not apply here; warnings of substance still show."""
    with warnings.catch_warnings():
        for start in (
            "Checkpoint directory",
            "`isinstance\\(treespec, LeafSpec\\)`",
            "Your `IterableDataset` has `__len__` defined",
            "Found .* in eval mode at the start of training",
            "The number of training batches",
            # Every batch is a function of its step, so nothing is lost by stopping in an epoch.
            "You're resuming from a checkpoint that ended before the epoch ended",
            "The '.*_dataloader' does not have many workers",
        ):
            warnings.filterwarnings("ignore", message=start)
        yield


def _require_known_elements(training: DensityDataset, validation: DensityDataset) -> None:
    missing = sorted(set(validation.elements()) - set(training.elements()))
    if missing:
        raise ConfigurationError(
            f"The validation structures hold {', '.join(chemical_symbols[z] for z in missing)}, "
            "which no training structure does; choose another split."
        )


_MOST_WORKERS = 8
"""Threads that draw probes for a GPU, where the configuration says nothing."""


def drawing_threads(options: TrainerConfig, trainer: pytorch_lightning.Trainer) -> int:
    """Return how many threads draw the probes of the next steps (`TrainerConfig.workers`)."""
    if options.workers is not None:
        return options.workers
    if isinstance(trainer.accelerator, CPUAccelerator):
        # What draws here computes as well.
        return 0
    return min(_MOST_WORKERS, max(1, available_threads() // options.devices - 1))


def _is_worker() -> bool:
    return int(os.environ.get("LOCAL_RANK", "0")) > 0


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


def _with_inherited_model(
    config: TrainConfig, parent: Checkpoint | None, resume: bool
) -> TrainConfig:
    """Where the configuration says nothing of the model, take that of the run or its parent."""
    if config.model != ModelConfig():
        return config
    stored = Path(config.run_directory) / "config.yaml"
    if resume and stored.exists():
        return config.model_copy(update={"model": read_config(stored).model})
    if parent is None:
        return config
    model = ModelConfig(
        architecture=parent.network.architecture.name,
        options=parent.network.options.model_dump(),
        baseline="none" if parent.baseline is None else "atoms",
    )
    return config.model_copy(update={"model": model})


def _baseline(config: TrainConfig, data: DensityDataset) -> str | None:
    if config.model.baseline == "none":
        return None
    return tables_for_level(data.level, data.elements())


def _network(
    config: TrainConfig, data: DensityDataset, parent: Checkpoint | None, state: Path | None
) -> DensityModel:
    pytorch_lightning.seed_everything(config.seed, verbose=False)
    if config.trainer.threads is not None:
        torch.set_num_threads(config.trainer.threads)
    elements = data.elements()
    if state is not None:
        # A fine-tuning run knows more elements than its data.
        elements = _elements_of_state(state, config) or elements
    elif parent is not None:
        elements = sorted({*elements, *parent.network.elements})
    network = create_model(config.model.architecture, config.model.options, elements)
    if parent is not None:
        transfer_weights(parent.network, network)
    return network


def _require_same_baseline(
    config: TrainConfig, parent: Checkpoint, start_from: str | Path | None
) -> None:
    name = "none" if parent.baseline is None else "atoms"
    if name != config.model.baseline:
        raise ConfigurationError(
            f"The model {start_from} was trained with model.baseline '{name}', this run has "
            f"'{config.model.baseline}'; only with the same can it be fine-tuned."
        )


def _elements_of_state(state: Path, config: TrainConfig) -> list[int] | None:
    """Return the elements of an interrupted run's network, if its state tells.

    Raises:
        FileFormatError: if the state cannot be read.
        ConfigurationError: if it is that of another network than the configuration's.
    """
    try:
        stored = torch.load(state, map_location="cpu", weights_only=True).get("network")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FileFormatError(
            f"The trainer state {state} is damaged and cannot be resumed: {first_line}"
        ) from None
    if stored is None:
        return None
    options = parse_options(config.model.architecture, config.model.options).model_dump()
    if (stored["architecture"], stored["options"]) != (config.model.architecture, options):
        raise ConfigurationError(
            f"The run in {state.parent} trains {stored['architecture']} {stored['options']}; it "
            f"cannot go on as {config.model.architecture} {options}."
        )
    elements: list[int] = stored["elements"]
    return elements


def _trainer(
    config: TrainConfig, directory: Path, callbacks: Sequence[Callback]
) -> pytorch_lightning.Trainer:
    options = config.trainer
    # Announcements of which accelerators there are, and advertisements.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    every = [
        *callbacks,
        ModelCheckpoint(
            dirpath=directory, filename=STATE.removesuffix(".ckpt"), save_top_k=1,
            enable_version_counter=False, save_on_train_epoch_end=True,
        ),
        RichProgressBar(leave=False),
    ]  # fmt: skip
    if options.patience is not None:
        every.append(EarlyStopping("validation/eps_mae", patience=options.patience))
    return pytorch_lightning.Trainer(
        max_steps=options.max_steps,
        accelerator=options.accelerator,
        devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
        callbacks=every,
        logger=[CSVLogger(directory, "logs"), TensorBoardLogger(directory, "tensorboard", "")],
        plugins=[RenamedCheckpointIO()],
        gradient_clip_val=config.optimizer.gradient_clip,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )
