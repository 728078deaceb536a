"""Packages that come with an extra of deepdft, and the sentence where one is not installed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from deepdft.errors import MissingDependencyError

_EXTRA = {
    "torch": "train",
    "pytorch_lightning": "train",
    "tensorboard": "train",
    "dask": "cluster",
    "distributed": "cluster",
    "matplotlib": "plot",
    "skimage": "plot",
    "h5py": "io",
    "lz4": "io",
    "xarray": "io",
    "zstandard": "io",
    "rdkit": "rdkit",
    "pyscf": "dft",
    "gpaw": "gpaw",
    "pymatgen": "pymatgen",
    "pytest": "test",
    "tblite": "xtb",
    "chgnet": "recipes",
    "triton": "test",
    "fastapi": "web",
    "uvicorn": "web",
}


def import_extra(module: str, purpose: str, *, hint: str = "") -> Any:
    """Import a module of a package that an extra installs.

    Args:
        module: its full name.
        purpose: what needs it, the subject of the sentence, in the singular.
        hint: what to know about the installation, the end of the sentence.

    Raises:
        MissingDependencyError: naming the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = missing_extra(error, purpose, hint)
        if missing is None:
            raise
        raise missing from None


def require_extra(package: str, purpose: str) -> None:
    """Raise `MissingDependencyError` where a package is not installed; it is not imported.

    Args:
        package: what would be imported.
        purpose: what needs it, the subject of the sentence, in the singular.
    """
    if not is_installed(package):
        raise _sentence(package, purpose)


def is_installed(package: str) -> bool:
    """Return whether a package could be imported; it is not."""
    try:
        return importlib.util.find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def missing_extra(
    error: ModuleNotFoundError, purpose: str = "This", hint: str = ""
) -> MissingDependencyError | None:
    """Return the sentence about a package of an extra that was not found; None for any other."""
    package = (error.name or "").partition(".")[0]
    return _sentence(package, purpose, hint) if package in _EXTRA else None


def _sentence(package: str, purpose: str, hint: str = "") -> MissingDependencyError:
    return MissingDependencyError(
        f"{purpose} needs {package}, which is not installed: pip install "
        f"'deepdft-density[{_EXTRA[package]}]'{hint}."
    )
