"""Python code run in a process in which the packages of the extras cannot be imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

BLOCKED = (
    "torch", "pytorch_lightning", "lightning", "tensorboard", "dask", "distributed", "matplotlib",
    "h5py",
)  # fmt: skip

_BLOCKER = f"""
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Blocked())

def deepdft(*arguments):
    from deepdft.cli import main
    sys.argv = ["deepdft", *map(str, arguments)]
    try:
        main()
    except SystemExit as left:
        return left.code or 0
"""


def run_without_extras(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run code in which ``deepdft(*arguments)`` runs the command and returns its exit code."""
    return subprocess.run(
        [sys.executable, "-c", _BLOCKER + code],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
