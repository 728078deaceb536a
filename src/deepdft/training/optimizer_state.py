"""The state of Adam in a trainer state: it has to fit before torch works with it.

Torch takes up moments of any shape; the fused step would then write beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

_MOMENTS = ("exp_avg", "exp_avg_sq")
_SWITCHES = ("amsgrad", "maximize", "capturable", "differentiable")
"""Other kinds of Adam, which no run uses."""


def require_optimizer_state(
    optimizers: Sequence[Any], schedules: Sequence[Any], optimizer: torch.optim.Optimizer
) -> None:
    """Raise `ValueError` if what was left of optimiser and schedule is not that of a run.

    Args:
        optimizers: their states.
        schedules: those of the learning rate.
        optimizer: that of the run, before the state is taken up.
    """
    if len(optimizers) != 1 or not isinstance(optimizers[0], Mapping):
        raise ValueError("it has no state of an optimiser")
    groups, moments = optimizers[0].get("param_groups"), optimizers[0].get("state")
    parameters = _require_groups(groups, optimizer)
    if not isinstance(moments, Mapping):
        raise ValueError("its optimiser has no state")
    for number, of_parameter in moments.items():
        if number not in range(len(parameters)) or not isinstance(of_parameter, Mapping):
            raise ValueError("its optimiser is that of other weights")
        _require_moments(of_parameter, parameters[number])
    last = schedules[0].get("last_epoch") if len(schedules) == 1 else None
    if not isinstance(last, int) or last < 0:
        raise ValueError("it has no state of a schedule")


def _require_groups(groups: Any, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    """Return the parameters by number, which are counted from group to group."""
    if not isinstance(groups, list) or len(groups) != len(optimizer.param_groups):
        raise ValueError("its optimiser has other groups of weights")
    parameters: list[torch.Tensor] = []
    for group, known in zip(groups, optimizer.param_groups, strict=True):
        first = len(parameters)
        parameters += known["params"]
        if not isinstance(group, Mapping) or group.get("params") != list(
            range(first, len(parameters))
        ):
            raise ValueError("its optimiser is that of other weights")
        numbers = [value for value in group.values() if isinstance(value, float)]
        if not all(map(math.isfinite, numbers)) or any(map(group.get, _SWITCHES)):
            raise ValueError("its optimiser is another one")
    return parameters


def _require_moments(moments: Mapping[str, Any], parameter: torch.Tensor) -> None:
    step = moments.get("step")
    if not isinstance(step, torch.Tensor) or step.shape != () or not 0 <= float(step) < math.inf:
        raise ValueError("its optimiser has counted no steps")
    for name in _MOMENTS:
        moment = moments.get(name)
        if not isinstance(moment, torch.Tensor) or moment.shape != parameter.shape:
            raise ValueError("a moment of its optimiser does not fit the weights")
        if moment.dtype != parameter.dtype or not bool(torch.isfinite(moment).all()):
            raise ValueError("a moment of its optimiser is not finite")
    if bool((moments["exp_avg_sq"] < 0).any()):
        raise ValueError("a second moment of its optimiser is negative")
