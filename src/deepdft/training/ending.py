"""A run that is told to end: between two steps, with its state on the disk.

Ctrl-C, SIGTERM and SIGHUP are taken note of; all processes of the run then end at the same step. A
second signal ends the process at once, which loses the steps since the last state.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning
from pytorch_lightning.trainer.states import TrainerFn

from deepdft.failures import Terminated

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class StoppedError(Exception):
    """Leads out of Lightning, which has an ending of its own for `KeyboardInterrupt`.

    Attributes:
        signal: its number.
        saved: whether the state is on the disk.
    """

    def __init__(self, number: int, saved: bool) -> None:
        super().__init__(number)
        self.signal = number
        self.saved = saved


class EndWhenTold(pytorch_lightning.Callback):
    """Ends a run by `StoppedError` once the process has been told to end.

    Args:
        state: where the state of the run goes.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._told = 0

    def setup(self, trainer: pytorch_lightning.Trainer, *arguments: Any, **options: Any) -> None:
        """Take note of signals from now on."""
        self._listen()

    def on_train_start(self, trainer: pytorch_lightning.Trainer, *arguments: Any) -> None:
        """Take signals back from Lightning, whose handler lets processes wait for each other."""
        self._listen()

    def on_train_batch_start(
        self, trainer: pytorch_lightning.Trainer, *arguments: Any, **options: Any
    ) -> None:
        """Between two steps: the averaged weights belong to the weights."""
        self._end_if_told(trainer)

    def on_validation_start(self, trainer: pytorch_lightning.Trainer, *arguments: Any) -> None:
        """Validation is done when the run goes on."""
        self._listen()
        self._end_if_told(trainer)

    def on_validation_batch_start(
        self, trainer: pytorch_lightning.Trainer, *arguments: Any, **options: Any
    ) -> None:
        """A long validation is not waited for."""
        if trainer.world_size == 1:  # others may be at another batch
            self._end_if_told(trainer)

    def _listen(self) -> None:
        for number in SIGNALS:
            # What is ignored, as SIGHUP under nohup, stays so.
            if signal.getsignal(number) not in (signal.SIG_IGN, self._take_note):
                try:
                    signal.signal(number, self._take_note)
                except ValueError:  # not the main thread: signals are somebody else's
                    return

    def _take_note(self, number: int, frame: FrameType | None) -> None:
        if self._told:
            raise KeyboardInterrupt if number == signal.SIGINT else Terminated(number)
        self._told = number

    def _end_if_told(self, trainer: pytorch_lightning.Trainer) -> None:
        told = bool(self._told)
        if trainer.world_size > 1:
            told = trainer.strategy.reduce_boolean_decision(told, all=False)
        if not told:
            return
        number = self._told or signal.SIGTERM  # another process was told
        if trainer.state.fn != TrainerFn.FITTING:
            raise StoppedError(number, False)
        if trainer.global_step >= trainer.max_steps:
            return  # what is left is the last validation
        if trainer.global_step > 0:
            trainer.save_checkpoint(self._state, weights_only=False)
        raise StoppedError(number, trainer.global_step > 0)


@contextmanager
def interrupts_of_lightning() -> Iterator[None]:
    """Undo that Lightning turns an interrupt that it sees into `SystemExit`.

    Whatever handles signals afterwards is what did before.
    """
    before = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        yield
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            raise left.__context__ from None
        raise
    finally:
        for number, handler in before.items():
            try:
                signal.signal(number, handler)
            except (ValueError, TypeError):  # not the main thread, or not set from Python
                break
