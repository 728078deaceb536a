"""Copies between the CPU and a device that let both go on with their work."""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def upload(array: NDArray[Any], device: torch.device) -> Tensor:
    """Return an array on `device`, without waiting for what the device is doing."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda" or array.size == 0:
        return tensor.to(device)
    # From memory that can be paged out, the copy would wait for the work before it.
    return tensor.pin_memory().to(device, non_blocking=True)


class HostCopy:
    """A tensor on its way to the CPU.

    Args:
        tensor: on any device; it must not be changed before `wait` has returned.
    """

    def __init__(self, tensor: Tensor) -> None:
        self._event: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._result = tensor
            return
        self._result = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._result.copy_(tensor, non_blocking=True)
        self._event = torch.cuda.Event()
        self._event.record(torch.cuda.current_stream(tensor.device))

    def wait(self) -> Tensor:
        """Return the tensor on the CPU once it is there."""
        if self._event is not None:
            self._event.synchronize()
        return self._result
