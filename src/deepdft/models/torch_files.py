"""Files of torch: opened for tensors and plain values alone, so that nothing in them can run."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from deepdft.errors import FileFormatError
from deepdft.storage.damage import DAMAGE
from deepdft.storage.numpy_archives import require_sensible


def read_tensors(path: str | Path) -> Any:
    """Return what a file of torch holds, on the CPU.

    Raises:
        FileFormatError: if it is no regular file, damaged, or holds more than tensors and plain
            values.
    """
    if not os.path.isfile(path):
        raise FileFormatError(f"{path} cannot be read: there is no such file.")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                require_sensible(archive)
                # Torch reads what has changed on the disk without a word.
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile
        return torch.load(path, map_location="cpu", weights_only=True)
    except (*DAMAGE, pickle.UnpicklingError):
        raise FileFormatError(
            f"{path} is damaged, or holds more than tensors and plain values; it is not opened."
        ) from None
