"""How far a run is, in plain lines, where the output is no terminal."""

from __future__ import annotations

import time
from typing import Any

import pytorch_lightning

from deepdft.progress_lines import plain_line

_INTERVAL = 60.0
"""Seconds between two lines, besides those after validations."""


class PlainLines(pytorch_lightning.Callback):
    """Prints a line a minute, and one after every validation: a log file shows how a run goes."""

    def __init__(self) -> None:
        self._begun = self._told = 0.0
        self._first = 0

    def on_train_start(self, trainer: pytorch_lightning.Trainer, *arguments: Any) -> None:
        """Begin to count."""
        self._begun = self._told = time.monotonic()
        self._first = trainer.global_step

    def on_train_batch_end(
        self, trainer: pytorch_lightning.Trainer, *arguments: Any, **options: Any
    ) -> None:
        """Print a line where the last one is old."""
        if time.monotonic() - self._told >= _INTERVAL:
            self._tell(trainer, "")

    def on_validation_end(self, trainer: pytorch_lightning.Trainer, *arguments: Any) -> None:
        """Print what was found."""
        if self._begun and not trainer.sanity_checking:
            value = trainer.callback_metrics.get("validation/eps_mae")
            self._tell(trainer, "" if value is None else f", validation eps_mae {value:.3f} %")

    def _tell(self, trainer: pytorch_lightning.Trainer, words: str) -> None:
        if not trainer.is_global_zero:
            return
        self._told = time.monotonic()
        line = plain_line(
            "steps", trainer.global_step, trainer.max_steps, self._told - self._begun, self._first
        )
        print(f"{line}{words}", flush=True)
