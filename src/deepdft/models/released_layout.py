"""What directories written by the training of the authors' released code look like."""

from __future__ import annotations

from pathlib import Path

ARGUMENTS = "arguments.json"
WEIGHTS = "best_model.pth"


def is_released_checkpoint(folder: str | Path) -> bool:
    """Return whether a directory looks like one of the released code's training."""
    return any((Path(folder) / name).is_file() for name in (ARGUMENTS, WEIGHTS))
