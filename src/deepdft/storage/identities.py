"""What tells one structure, one model, one file from another: hashes of all that matters.

Two structures or models of the same identity give the same density.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray


def structure_identity(atoms: Atoms) -> str:
    """Return a hash of whatever of a structure decides its density.

    That is elements, positions, cell, periodicity, initial magnetic moments and charges, and the
    charge in ``atoms.info``. Lengths count to 1e-6 Å, so that a structure that went through a text
    file is the same.
    """
    digest = hashlib.sha256()
    digest.update(np.asarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(np.asarray(atoms.pbc, dtype="<i8").tobytes())
    lengths = [atoms.positions, np.asarray(atoms.cell), atoms.get_initial_magnetic_moments()]
    for values in (*lengths, atoms.get_initial_charges(), atoms.info.get("charge") or 0):
        digest.update((np.round(np.asarray(values, dtype="<f8"), 6) + 0.0).tobytes())
    return digest.hexdigest()[:16]


def model_identity(
    architecture: str,
    options: Mapping[str, Any],
    elements: Sequence[int],
    weights: Mapping[str, NDArray[Any]],
    baseline: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> str:
    """Return a hash of whatever of a model decides its densities.

    Args:
        architecture: its name.
        options: its options, JSON-like.
        elements: atomic numbers, in the order of the embeddings.
        weights: arrays by name.
        baseline: what lies below the network: arrays and JSON-like values by name, or None.
        settings: how it is evaluated, where that matters: precision, filters, device.
    """
    digest = ContentHash()
    digest.add("model", [architecture, dict(options), list(elements)])
    for title, content in (("weights", weights), ("baseline", baseline), ("settings", settings)):
        digest.add(title, content is not None)
        for name, value in sorted((content or {}).items()):
            digest.add(name, value)
    return digest.result()


def file_identity(path: str | Path) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class ContentHash:
    """SHA-256 of JSON-like values and arrays, each with name and shape: none passes for another."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, name: str, value: Any) -> None:
        """Count in a value that JSON can hold, or an array."""
        if isinstance(value, np.ndarray):
            value = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
            self.add(name, [value.dtype.str, *value.shape])
            self._hash.update(value.tobytes())
        else:
            self._hash.update(json.dumps([name, value], sort_keys=True).encode())

    def result(self) -> str:
        """Return the hash of what was added, in this order."""
        return self._hash.hexdigest()
