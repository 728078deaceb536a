"""A training run from configuration to best model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from ase.data import chemical_symbols
from pytorch_lightning.accelerators import CPUAccelerator
from torch.utils.data import DataLoader

from deepdft.architectures import DensityModel, create_model
from deepdft.data import (
    DensityDataset,
    open_dataset,
    random_split,
    read_split,
    shuffled_with_elements_first,
)
from deepdft.errors import ConfigurationError
from deepdft.failures import Terminated
from deepdft.fields.atoms import AtomicDensityTables
from deepdft.fields.atoms.choice import tables_for_level
from deepdft.models.bundled import open_checkpoint
from deepdft.models.checkpoint import Checkpoint
from deepdft.models.networks import transfer_weights
from deepdft.threads import is_first_process
from deepdft.training.batches import BatchBuilder, TrainingBatches, ValidationBatches
from deepdft.training.callbacks import SaveBestModel, StepBookkeeping
from deepdft.training.card import described_start, model_card, recorded_start
from deepdft.training.config import TrainConfig
from deepdft.training.ending import (
    EndWhenTold,
    StoppedError,
    interrupts_of_lightning,
    losses_of_processes,
)
from deepdft.training.epochs import factors_of_groups
from deepdft.training.module import DensityTraining
from deepdft.training.settings import (
    all_changes,
    record_settings,
    settings_from_model,
    settings_of_resumed,
)
from deepdft.training.state import LeftState, data_identity
from deepdft.training.trainer import (
    STATE,
    drawing_threads,
    make_trainer,
    without_advice,
)

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
        steps_left_out: of the steps, those that changed nothing because their gradient was not
            finite.
    """

    folder: Path
    eps_mae: float
    steps: int
    structures_per_second: float
    probes_per_second: float
    eps_mae_before: float | None = None
    steps_left_out: int = 0


class TrainingStopped(Terminated):
    """A run was told to end, by Ctrl-C or another signal, and has.

    Attributes:
        result: what it has reached; its error is not a number before the first validation.
        resumable: whether `resume` goes on from there.
    """

    def __init__(self, number: int, result: TrainingResult, resumable: bool) -> None:
        super().__init__(number)
        self.result = result
        self.resumable = resumable


def train(
    config: TrainConfig,
    *,
    start_from: str | Path | None = None,
    resume: bool = False,
    notify: Callable[[str], None] | None = None,
) -> TrainingResult:
    """Train a model; see `TrainConfig` for what can be chosen.

    The run directory receives `config.yaml` (full configuration), `best/` (the best model so far),
    `trainer_state.ckpt` (for `resume`), the logs and, where a resumed run was changed,
    `changes.yaml`. A model to fine-tune counts among the best.

    >>> from contextlib import redirect_stdout
    >>> from importlib.resources import files
    >>> from deepdft.training.config import parse_config
    >>> molecules = files("deepdft") / "bundled" / "densities" / "qm9_test"
    >>> config = parse_config({
    ...     "run_directory": "tiny",
    ...     "model": {"options": {"steps": 1, "channels": 4}},
    ...     "data": {"paths": [str(molecules)], "validation_count": 2},
    ...     "sampling": {"structures": 1, "probes": 20},
    ...     "trainer": {"max_steps": 2, "validation_interval": 2, "accelerator": "cpu"},
    ... })
    >>> with redirect_stdout(None):  # without the progress bar
    ...     result = train(config)
    >>> result.steps, result.folder.as_posix()
    (2, 'tiny/best')

    Args:
        config: the run.
        start_from: folder or name of a model to fine-tune; architecture, options and baseline that
            the configuration does not give are taken over.
        resume: go on with the run in the same directory. What the configuration does not give stays
            as it was; what it gives and is in `settings.USED_FROM_NOW_ON` may differ.
        notify: called with a sentence for whatever a resumed run does differently.

    Raises:
        ConfigurationError: if data and configuration do not fit, or what is given would make
            another run of one that is resumed.
        FileFormatError: if the state of a run to resume is damaged.
        TrainingStopped: if the process is told to end; the state is saved first.
    """
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
    baseline_name = _baseline(config, training_data)
    baseline = None if baseline_name is None else AtomicDensityTables.load(baseline_name)
    if state is not None:
        state.require_network(config.model)
        state.require_data(training_data, validation_data)
    network = _network(config, training_data, parent, state)
    step = 0 if state is None else state.step
    changed = all_changes(directory, step, changes)

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
        builder,
        config.sampling,
        config.seed,
        config.trainer.validation_interval,
        factors=factors_of_groups(training_data, config.sampling.weights),
    )
    validation = ValidationBatches(
        validation_builder,
        config.trainer.validation_probes,
        config.seed,
    )
    description = Checkpoint.of_network(
        network,
        training_data.level,
        baseline_name,
        model_card(config, training_data, validation_data, started_from, changed),
    )
    best = SaveBestModel(directory / BEST, description)
    bookkeeping = StepBookkeeping(batches)
    trainer = make_trainer(config, directory, [bookkeeping, best, EndWhenTold(directory / STATE)])
    batches.workers = drawing_threads(config.trainer, trainer)
    if is_first_process():
        record_settings(config, directory, changed)
        for key, (earlier, value) in changes.items():
            if notify is not None:
                notify(f"from step {step} on: {key} {value} (before: {earlier})")
    if config.trainer.threads is None and not isinstance(trainer.accelerator, CPUAccelerator):
        # The processor only draws: a thread for each worker.
        torch.set_num_threads(1)
    module = DensityTraining(
        network, config.optimizer, config.trainer.max_steps,
        data_identity(training_data, validation_data),
    )  # fmt: skip
    if state is not None:
        state.require_weights(module)
    validation_loader = DataLoader(validation, batch_size=None)
    before = None
    restored = nullcontext() if state is None else state.restored(lambda: bookkeeping.has_begun)
    stopped: StoppedError | None = None
    try:
        with without_advice(), interrupts_of_lightning(), losses_of_processes(config), restored:
            if parent is not None:
                # A fine-tuned model must not be worse than what it was before.
                trainer.validate(module, validation_loader, verbose=False)
                before = best.error
            trainer.fit(
                module,
                DataLoader(batches, batch_size=None),
                validation_loader,
                ckpt_path=None if state is None else str(state.path),
                weights_only=True,
            )
    except StoppedError as told:
        stopped = told
    seconds = bookkeeping.seconds or float("nan")
    result = TrainingResult(
        directory / BEST,
        best.error,
        trainer.global_step,
        bookkeeping.structures / seconds,
        bookkeeping.probes / seconds,
        before,
        module.left_out,
    )
    if stopped is not None:
        resumable = stopped.saved or state is not None
        raise TrainingStopped(stopped.signal, result, resumable)
    return result


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


def _baseline(config: TrainConfig, data: DensityDataset) -> str | None:
    if config.model.baseline == "none":
        return None
    return tables_for_level(data.level, data.elements())


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
