"""Where a prediction is computed; torch is asked only where there may be a GPU."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deepdft.errors import ConfigurationError
from deepdft.extras import is_installed, require_extra


def choose_device(device: str) -> str:
    """Return torch's name of a device, "auto" being a GPU where there is one.

    Raises:
        ConfigurationError: if the device does not exist here.
        MissingDependencyError: for a GPU, if torch is not installed.
    """
    if device == "cpu":
        return device
    if device == "auto":
        return "cuda" if _there_may_be_a_gpu() and _torch_has_a_gpu() else "cpu"
    if device.startswith("cuda"):
        require_extra("torch", f"The device '{device}'")
    if is_installed("torch"):
        import torch

        try:
            chosen = torch.device(device)
            torch.empty(0, device=chosen)
            return str(chosen)
        except (RuntimeError, AssertionError, NotImplementedError):
            pass
    raise ConfigurationError(
        f"There is no device '{device}' here; use 'auto', 'cpu' or, with a GPU, 'cuda'."
    )


def _there_may_be_a_gpu() -> bool:
    """Look for what a driver leaves; to import torch takes longer than a small prediction."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in ("", "-1"):
        return False
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", "C:/Windows"), "System32/nvcuda.dll").exists()
    names = ("nvidia0", "nvidiactl", "dxg", "kfd", "nvhost-gpu", "nvgpu")
    return any(Path("/dev", name).exists() for name in names)


def _torch_has_a_gpu() -> bool:
    if not is_installed("torch"):
        return False
    import torch

    return bool(torch.cuda.is_available())
