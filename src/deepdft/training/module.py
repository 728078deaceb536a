"""The training step, validation and the moving average of the weights, as a Lightning module."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import pytorch_lightning
import torch
from torch import Tensor

from deepdft.architectures.base import DensityModel
from deepdft.errors import ConfigurationError
from deepdft.training.batches import ProbeBatch
from deepdft.training.config import OptimizerConfig

MOST_LEFT_OUT_IN_A_ROW = 100
"""Steps whose gradient is not finite after which nothing better is to be expected."""


class RunEndedError(ConfigurationError):
    """A run cannot go on; all of its processes find the same at the same step."""


class DensityTraining(pytorch_lightning.LightningModule):
    """Trains `model`; validates and keeps the moving average `averaged`.

    Args:
        model: the network to train.
        optimizer: loss, optimiser and learning rate.
        max_steps: length of the learning-rate schedule.
        data: kept with the state, to tell whose data it is about.

    Attributes:
        left_out: steps so far that changed nothing, because their gradient was not finite.
    """

    def __init__(
        self,
        model: DensityModel,
        optimizer: OptimizerConfig,
        max_steps: int,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.optimizer_config = optimizer
        self.max_steps = max_steps
        self.data = data
        self.left_out = 0
        self._left_out_in_a_row = 0
        self._validation: list[Tensor] = []

    def transfer_batch_to_device(
        self, batch: ProbeBatch, device: torch.device, dataloader_idx: int
    ) -> ProbeBatch:
        """Move a batch; Lightning does not know our class."""
        return batch.to(device)

    def training_step(self, batch: ProbeBatch, batch_index: int) -> Tensor:
        """Return the loss of a batch."""
        predicted: Tensor = self.model(batch.graph, batch.edges) + batch.baseline
        difference = predicted - batch.target
        if self.optimizer_config.loss == "mean_squared_error":
            loss = (batch.weights * difference.square()).mean()
        elif self.optimizer_config.loss == "mean_absolute_error":
            loss = (batch.weights * difference.abs()).mean()
        else:
            loss = mean_eps_mae(difference, batch)
        self.log("train/loss", loss, batch_size=1)
        return loss

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradient; leave out a step whose gradient is not finite.

        Raises:
            RunEndedError: after many such steps one after the other.
        """
        parameters = [p for p in self.model.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])  # type: ignore[misc]
        if not bool(torch.isfinite(norm)):
            for parameter in parameters:
                parameter.grad = None
            self._note_step_left_out()
            return
        self._left_out_in_a_row = 0
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)

    def _note_step_left_out(self) -> None:
        self.left_out += 1
        self._left_out_in_a_row += 1
        self.log("steps left out", float(self.left_out), prog_bar=True)
        if self._left_out_in_a_row == MOST_LEFT_OUT_IN_A_ROW:
            raise RunEndedError(
                f"Training ended at step {self.global_step + 1}: the gradients of the last "
                f"{MOST_LEFT_OUT_IN_A_ROW} steps were not finite; lower optimizer.learning_rate "
                "or optimizer.gradient_clip, and look for structures without a sensible density "
                "among the data."
            )

    def on_train_batch_end(self, outputs: Any, batch: ProbeBatch, batch_idx: int) -> None:
        """Update the moving average."""
        # Early on the average follows closely, so that it forgets the random start.
        step = self.global_step
        decay = min(self.optimizer_config.average_decay, (1 + step) / (10 + step))
        with torch.no_grad():
            averaged = [p.data for p in self.averaged.parameters()]
            current = [p.data for p in self.model.parameters()]
            torch._foreach_lerp_(averaged, current, 1.0 - decay)

    def on_validation_epoch_start(self) -> None:
        """Forget the last validation."""
        self._validation = []
        # The averaged weights stay fixed during a validation: one table serves all batches.
        self._table = (
            self.averaged.probe_table() if self.averaged.settings.filters != "direct" else None
        )

    def validation_step(self, batch: ProbeBatch, batch_index: int) -> None:
        """Estimate eps_mae (eq. 7) of one structure from its random probes."""
        senders = self.averaged.encode(batch.graph)
        predicted = self.averaged.density(senders, batch.edges, self._table) + batch.baseline
        error = (batch.weights * (predicted - batch.target).abs()).sum()
        norm = (batch.weights * batch.target.abs()).sum()
        self._validation.append(error / norm)

    def on_validation_epoch_end(self) -> None:
        """Log the mean eps_mae in percent."""
        values = torch.stack(self._validation)
        self.log("validation/eps_mae", 100.0 * values.mean(), prog_bar=True, sync_dist=True)
        self.log("validation/eps_mae_max", 100.0 * values.max(), sync_dist=True, reduce_fx="max")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note which network and data the state belongs to."""
        if self.data is not None:
            checkpoint["data"] = dict(self.data)
        checkpoint["steps_left_out"] = self.left_out
        checkpoint["network"] = {
            "architecture": self.model.architecture.name,
            "options": self.model.options.model_dump(),
            "elements": list(self.model.elements),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on counting the steps left out."""
        self.left_out = checkpoint.get("steps_left_out", 0)

    def on_train_start(self) -> None:
        """Have the optimiser of a resumed run go by the configuration, not by its state."""
        config = self.optimizer_config
        scheduler = self.lr_schedulers()
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(scheduler, torch.optim.lr_scheduler.LambdaLR)
        assert isinstance(optimizer, torch.optim.Optimizer)
        scheduler.base_lrs = [config.learning_rate] * len(optimizer.param_groups)
        rate = config.learning_rate * self._learning_rate_factor(scheduler.last_epoch)
        for group in optimizer.param_groups:
            group["initial_lr"] = config.learning_rate
            group["lr"] = rate
            group["betas"] = (0.9, config.second_moment_decay)

    def configure_optimizers(self) -> Any:
        """Adam, or AdamW with decay of the weights, with warm-up and, if asked for, cosine decay.

        Biases, scales and other vectors do not decay.
        """
        config = self.optimizer_config
        common: dict[str, Any] = {
            "lr": config.learning_rate,
            "betas": (0.9, config.second_moment_decay),
            "fused": True,
        }
        optimizer: torch.optim.Optimizer
        if config.weight_decay:
            matrices = [p for p in self.model.parameters() if p.ndim > 1]
            vectors = [p for p in self.model.parameters() if p.ndim < 2]
            groups: list[dict[str, Any]] = [
                {"params": matrices},
                {"params": vectors, "weight_decay": 0.0},
            ]
            optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay, **common)
        else:
            optimizer = torch.optim.Adam(self.model.parameters(), **common)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self._learning_rate_factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _learning_rate_factor(self, step: int) -> float:
        config = self.optimizer_config
        factor = min(1.0, (step + 1) / (config.warmup_steps + 1))
        if config.schedule == "cosine":
            progress = min(1.0, step / self.max_steps)
            factor *= 0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * progress))
        return factor


def mean_eps_mae(difference: Tensor, batch: ProbeBatch) -> Tensor:
    """Return the mean over a batch's structures of eq. (7), estimated from the probes.

    Args:
        difference: (probes,) prediction minus reference, e/Å^3.
        batch: where the probes, their weights and the reference are from.
    """
    count = int(batch.structure[-1]) + 1
    empty = difference.new_zeros(count)
    error = empty.index_add(0, batch.structure, batch.weights * difference.abs())
    norm = empty.index_add(0, batch.structure, batch.weights * batch.target.abs())
    return (error / norm).mean()
