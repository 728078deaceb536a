"""What happens around the steps of a run: best weights, safe trainer states, rates."""

from __future__ import annotations

import io
import math
import time
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
from pytorch_lightning.plugins.io import TorchCheckpointIO

from deepdft.models.checkpoint import Checkpoint
from deepdft.models.folder import save_checkpoint
from deepdft.models.torch_files import read_tensors
from deepdft.storage.replace import replacing
from deepdft.training.batches import TrainingBatches
from deepdft.training.module import DensityTraining, RunEndedError


class RenamedCheckpointIO(TorchCheckpointIO):
    """Writes a trainer state beside its place and renames it; reads it without running code."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Write a trainer state; a kill at any moment leaves the old one or the new one."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        # In memory first: torch hides what the disk says.
        state = io.BytesIO()
        torch.save(checkpoint, state)
        with replacing(path) as place:
            place.write_bytes(state.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a trainer state with `weights_only=True`."""
        state: dict[str, Any] = read_tensors(path)
        return state


class StateFile(ModelCheckpoint):
    """Keeps the state of a run in one file.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(
            dirpath=path.parent, filename=path.stem, save_top_k=1, enable_version_counter=False,
            save_on_train_epoch_end=True,
        )  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing over: it names files, which would be removed when the next one is there."""


class SaveBestModel(pytorch_lightning.Callback):
    """Keeps the averaged weights of the best validation as a model folder.

    Args:
        folder: where the model goes.
        description: the checkpoint's level, baseline and card (its network is replaced).
    """

    def __init__(self, folder: Path, description: Checkpoint) -> None:
        self.folder = folder
        self.description = description
        self.best: float | None = None

    def on_validation_end(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        """Write the model if it is the best so far.

        Raises:
            RunEndedError: if the error is no longer a number, which nothing can mend.
        """
        assert isinstance(pl_module, DensityTraining)
        value = float(trainer.callback_metrics["validation/eps_mae"])
        if not math.isfinite(value):
            raise RunEndedError(
                f"Training diverged: after step {trainer.global_step} the validation error is "
                f"{value}; lower optimizer.learning_rate or optimizer.gradient_clip."
            )
        if self.best is not None and not value < self.best:
            return
        self.best = value
        if not trainer.is_global_zero:
            return
        card = dict(self.description.card)
        card["validation"] = {"eps_mae_percent": value, "step": trainer.global_step}
        if pl_module.left_out:
            card["training"] = {**card["training"], "steps_left_out": pl_module.left_out}
        save_checkpoint(
            Checkpoint.of_network(
                pl_module.averaged,
                self.description.level,
                self.description.baseline,
                card,
                self.description.tables,
            ),
            self.folder,
        )

    @property
    def error(self) -> float:
        """The best validation eps_mae, a fraction; not a number before the first."""
        return math.nan if self.best is None else self.best / 100.0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, for a resumed run."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best value of the run before.

        Raises:
            ValueError: if it is none.
        """
        best = state_dict["best"]
        if best is not None and not (isinstance(best, float) and math.isfinite(best)):
            raise ValueError("its best validation error is no number")
        self.best = best


class Patience(EarlyStopping):
    """Ends a run after so many validations without a better one, also where that was changed.

    Args:
        validations: how many.
    """

    def __init__(self, validations: int) -> None:
        # A resumed run may begin with the end of an epoch, long after its validation.
        super().__init__("validation/eps_mae", patience=validations, check_on_train_epoch_end=False)

    def on_train_start(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        """End a resumed run at once that had ended for lack of a better validation."""
        if self.wait_count >= self.patience:
            trainer.should_stop = True

    @property
    def state_key(self) -> str:
        """The name of its part of a state, which is Lightning's."""
        return f"EarlyStopping{{'monitor': {self.monitor!r}, 'mode': {self.mode!r}}}"

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting, up to the number that is asked for now.

        Raises:
            ValueError: if nothing was counted.
        """
        count, best = state_dict["wait_count"], state_dict["best_score"]
        if not (isinstance(count, int) and isinstance(best, torch.Tensor) and best.shape == ()):
            raise ValueError("its validations were not counted")
        super().load_state_dict({**state_dict, "patience": self.patience})


class StepBookkeeping(pytorch_lightning.Callback):
    """Tells the batches where the run stands, ends it, and logs structures/s and probes/s.

    Attributes:
        structures, probes, seconds: of all processes so far, without validation.
        has_begun: whether training has, what was to be restored being restored.
    """

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches
        self.structures = self.probes = 0
        self.seconds = 0.0
        self.has_begun = False
        self._probes = self._steps = 0
        self._started = self._last = 0.0

    def on_train_start(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        """Set the first step; a run resumed within an epoch does not start one."""
        self.has_begun = True
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(
        self, trainer: pytorch_lightning.Trainer, pl_module: pytorch_lightning.LightningModule
    ) -> None:
        """Set the first step of the next batches."""
        self.batches.first_step = trainer.global_step
        self.batches.rank = trainer.global_rank
        self.batches.processes = trainer.world_size
        self._probes = self._steps = 0
        self._started = self._last = time.perf_counter()

    def on_train_batch_start(
        self, trainer: pytorch_lightning.Trainer, *arguments: Any, **options: Any
    ) -> None:
        """Have the logs labelled with the step; Lightning counts one more with each resumption."""
        trainer.fit_loop.epoch_loop._batches_that_stepped = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: pytorch_lightning.Trainer,
        pl_module: pytorch_lightning.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Log the rates so far in this epoch; have the last step of the run validated."""
        if trainer.global_step >= trainer.max_steps:
            # Lightning validates at the end of an epoch only, but always when told to stop.
            trainer.should_stop = True
        self._probes += batch.target.shape[0]
        self._steps += 1
        self.probes += batch.target.shape[0] * self.batches.processes
        self.structures += self.batches.sampling.structures * self.batches.processes
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now
        if self._steps % 20 == 0 or self._steps == len(self.batches):
            seconds = now - self._started
            structures = self._steps * self.batches.sampling.structures
            scale = self.batches.processes / seconds
            pl_module.log("probes/s", scale * self._probes, prog_bar=True)
            pl_module.log("structures/s", scale * structures, prog_bar=True)
