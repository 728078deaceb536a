"""Where the Triton kernels can run. Triton itself is imported nowhere else than by them."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext

import torch

OLDEST_TRITON = (3, 6)
"""Oldest version that the kernels are tested with."""

_OLDEST_CAPABILITY = (8, 0)
"""NVIDIA's Ampere: half-precision matrix products of this shape, 99 KiB of shared memory."""


def triton_serves(device: torch.device) -> bool:
    """Return whether the Triton kernels can be used for tensors on `device`.

    Without Triton, or on a device that is no NVIDIA GPU from Ampere on, plain torch operations do
    the same.
    """
    if device.type != "cuda" or torch.version.hip is not None:
        return False
    return torch.cuda.get_device_capability(device) >= _OLDEST_CAPABILITY and triton_installed()


@functools.cache
def triton_installed() -> bool:
    """Return whether Triton can be imported and is recent enough."""
    try:
        import triton
    except ImportError:
        return False
    numbers = triton.__version__.split(".")[:2]
    return tuple(int(number) for number in numbers) >= OLDEST_TRITON


def launching_on(device: torch.device) -> AbstractContextManager[object]:
    """Return the context in which Triton launches kernels on `device`, not on the current one."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()
