"""A training run from configuration to best model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning.accelerators import CPUAccelerator
from torch.utils.data import DataLoader

from deepdft.failures import Terminated
from deepdft.threads import is_first_process
from deepdft.training.batches import BatchBuilder, TrainingBatches, ValidationBatches
from deepdft.training.callbacks import SaveBestModel, StepBookkeeping
from deepdft.training.config import TrainConfig
from deepdft.training.ending import (
    EndWhenTold,
    StoppedError,
    interrupts_of_lightning,
)
from deepdft.training.epochs import factors_of_groups
from deepdft.training.module import DensityTraining
from deepdft.training.preparation import PreparedRun, prepare
from deepdft.training.processes import losses_of_processes
from deepdft.training.settings import record_settings
from deepdft.training.state import data_identity
from deepdft.training.trainer import (
    BEST,
    STATE,
    drawing_threads,
    make_trainer,
    without_advice,
)


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
    run = prepare(config, start_from, resume)
    training, validation = _batches(run)
    best = SaveBestModel(run.directory / BEST, run.description())
    bookkeeping = StepBookkeeping(training)
    ending = EndWhenTold(run.directory / STATE)
    trainer = make_trainer(run.config, run.directory, [bookkeeping, best, ending])
    training.workers = drawing_threads(run.config.trainer, trainer)
    if is_first_process():
        _record(run, notify)
    if run.config.trainer.threads is None and not isinstance(trainer.accelerator, CPUAccelerator):
        # The processor only draws: a thread for each worker.
        torch.set_num_threads(1)
    module = DensityTraining(
        run.network, run.config.optimizer, run.config.trainer.max_steps,
        data_identity(run.training_data, run.validation_data),
    )  # fmt: skip
    loaders = DataLoader(training, batch_size=None), DataLoader(validation, batch_size=None)
    before, stopped = _fit(run, trainer, module, loaders, bookkeeping, best)
    seconds = bookkeeping.seconds or float("nan")
    result = TrainingResult(
        run.directory / BEST,
        best.error,
        trainer.global_step,
        bookkeeping.structures / seconds,
        bookkeeping.probes / seconds,
        before,
        module.left_out,
    )
    if stopped is not None:
        resumable = stopped.saved or run.state is not None
        raise TrainingStopped(stopped.signal, result, resumable)
    return result


def _batches(run: PreparedRun) -> tuple[TrainingBatches, ValidationBatches]:
    network, config = run.network, run.config
    builder, validation_builder = (
        BatchBuilder(
            data,
            network.cutoff,
            run.baseline.tables,
            directions=network.architecture.uses_directions,
            atom_cutoff=network.atom_cutoff,
            reach=network.sampling_reach,
        )
        for data in (run.training_data, run.validation_data)
    )
    training = TrainingBatches(
        builder,
        config.sampling,
        config.seed,
        config.trainer.validation_interval,
        factors=factors_of_groups(run.training_data, config.sampling.weights),
    )
    probes = config.trainer.validation_probes
    return training, ValidationBatches(validation_builder, probes, config.seed)


def _record(run: PreparedRun, notify: Callable[[str], None] | None) -> None:
    record_settings(run.config, run.directory, run.changed)
    for key, (earlier, value) in run.changes.items():
        if notify is not None:
            notify(f"from step {run.step} on: {key} {value} (before: {earlier})")


def _fit(
    run: PreparedRun,
    trainer: pytorch_lightning.Trainer,
    module: DensityTraining,
    loaders: tuple[DataLoader[Any], DataLoader[Any]],
    bookkeeping: StepBookkeeping,
    best: SaveBestModel,
) -> tuple[float | None, StoppedError | None]:
    """Train; return the error before fine-tuning, and what has ended the run early."""
    state = run.state
    if state is not None:
        state.require_weights(module)
        state.require_optimizer(module.configure_optimizers()["optimizer"])
    before = None
    restored = nullcontext() if state is None else state.restored(lambda: bookkeeping.has_begun)
    try:
        with without_advice(), interrupts_of_lightning(), restored, losses_of_processes(trainer):
            if run.parent is not None:
                # A fine-tuned model must not be worse than what it was before.
                trainer.validate(module, loaders[1], verbose=False)
                before = best.error
            trainer.fit(
                module,
                *loaders,
                ckpt_path=None if state is None else str(state.path),
                weights_only=True,
            )
    except StoppedError as told:
        return before, told
    return before, None
