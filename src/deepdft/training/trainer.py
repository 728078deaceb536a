"""Lightning's trainer as runs use it."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytorch_lightning
from pytorch_lightning.accelerators import AcceleratorRegistry, CPUAccelerator
from pytorch_lightning.callbacks import Callback, RichProgressBar
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.threads import available_threads
from deepdft.training.callbacks import Patience, RenamedCheckpointIO, StateFile
from deepdft.training.config import TrainConfig, TrainerConfig
from deepdft.training.processes import SeveralProcesses
from deepdft.training.progress import PlainLines

BEST = "best"
"""The folder of a run's best model so far, in the directory of the run."""
STATE = "trainer_state.ckpt"
"""What a run is resumed from."""

_MOST_WORKERS = 8
"""Threads that draw probes for a GPU, where the configuration says nothing."""


def make_trainer(
    config: TrainConfig, directory: Path, callbacks: Sequence[Callback]
) -> pytorch_lightning.Trainer:
    """Return the trainer of a run; its state goes to `directory`."""
    options = config.trainer
    # Announcements of accelerators and processes, and advertisements.
    for name in ("pytorch_lightning.utilities.rank_zero", "lightning_fabric.utilities.distributed"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # Whoever redirects it to nothing has none.
    on_terminal = sys.stdout is not None and sys.stdout.isatty()
    every = [
        *callbacks,
        StateFile(directory / STATE),
        RichProgressBar(leave=False) if on_terminal else PlainLines(),
    ]  # fmt: skip
    if options.patience is not None:
        every.append(Patience(options.patience))
    _require_accelerator(options.accelerator)
    return pytorch_lightning.Trainer(
        max_steps=options.max_steps,
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=SeveralProcesses() if options.devices > 1 else "auto",
        callbacks=every,
        enable_progress_bar=on_terminal,
        logger=[CSVLogger(directory, "logs"), TensorBoardLogger(directory, "tensorboard", "")],
        plugins=[RenamedCheckpointIO()],
        gradient_clip_val=config.optimizer.gradient_clip,
        num_sanity_val_steps=0,
        log_every_n_steps=20,
        use_distributed_sampler=False,
        enable_model_summary=False,
    )


def _require_accelerator(name: str) -> None:
    """Refuse an accelerator that there is not.

    Raises:
        ConfigurationError: naming those that there are.
    """
    known = AcceleratorRegistry.available_accelerators()
    if name in ("auto", "gpu"):
        present = name == "auto" or any(
            AcceleratorRegistry.get(kind).is_available()
            for kind in ("cuda", "mps")
            if kind in known
        )
    elif name in known:
        present = AcceleratorRegistry.get(name).is_available()
    else:
        every = sorted({"auto", "gpu", *known})
        raise ConfigurationError(
            f"There is no accelerator '{name[:40]}'; trainer.accelerator is one of "
            f"{', '.join(every)}.{did_you_mean(name[:40], every)}"
        )
    if not present:
        raise ConfigurationError(
            f"This machine has no accelerator '{name}' that torch can use; give "
            "trainer.accelerator=cpu, or auto for what there is."
        )


def drawing_threads(options: TrainerConfig, trainer: pytorch_lightning.Trainer) -> int:
    """Return how many threads draw the probes of the next steps (`TrainerConfig.workers`)."""
    if options.workers is not None:
        return options.workers
    if isinstance(trainer.accelerator, CPUAccelerator):
        # What draws here computes as well.
        return 0
    return min(_MOST_WORKERS, max(1, available_threads() // options.devices - 1))


@contextmanager
def without_advice() -> Iterator[None]:
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
            # A run that began with patience may go on without.
            "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
        ):
            warnings.filterwarnings("ignore", message=start)
        yield
