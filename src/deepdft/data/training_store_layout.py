"""How a training store lies on the disk.

A store is a group of the zarr format, version 3, of arrays that lie on the disk as they are (see
`deepdft.storage.growing_array`). For n densities with P points (each density padded to a multiple
of `BLOCK`), A atoms, S spin values and T bytes of text:

- `density` (P,) float32: the values in e/Å^3, one density after the other, z fastest;
- `block_sums` (P / BLOCK,) float64: sum of |rho| in every run of `BLOCK` points;
- `spin` (S,) float32: spin densities, one or three components each;
- `numbers` (A,) uint8 and `positions` (A, 3) float64 in Å;
- `entries` (n, 12) int64: where a density's part of the others starts, see `Entry`;
- `cells` (n, 22) float64: edges of the grid's box (9), its origin (3), cell of the structure (9),
  all in Å, and the number of electrons;
- `descriptions` (T,) uint8: name, line feed, and a JSON object with metadata and notes; its `info`
  is what else is known of the structure (`atoms.info`: charge, group and others).

The group's attributes tell how many densities count (`count`) and the levels of theory. Whatever
lies behind these was left by a process that was killed, and is written over.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

from deepdft.errors import FileFormatError
from deepdft.storage.damage import reported
from deepdft.storage.growing_array import METADATA
from deepdft.storage.json_files import read_json

BLOCK = 1024
"""Points in a block: one page of memory in single precision."""

FORMAT = "deepdft training store"
VERSION = 1
ARRAYS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "density": ("float32", (), 1 << 24),
    "block_sums": ("float64", (), 1 << 20),
    "spin": ("float32", (), 1 << 22),
    "numbers": ("uint8", (), 1 << 18),
    "positions": ("float64", (3,), 3 << 20),
    "entries": ("int64", (12,), 3 << 18),
    "cells": ("float64", (22,), 11 << 18),
    "descriptions": ("uint8", (), 1 << 20),
}
"""Name -> type, axes behind the first, bytes of a chunk."""


class Entry(NamedTuple):
    """A row of `entries`.

    Attributes:
        point: first point in `density`, a multiple of `BLOCK`.
        nx: points along the first edge.
        ny: points along the second.
        nz: points along the third.
        atom: first atom.
        n_atoms: how many.
        text: first byte in `descriptions`.
        n_bytes: how many.
        spin: first value in `spin`.
        spin_components: 0 (no spin density), 1 or 3.
        periodic: bits 0 to 2 for the three cell vectors.
        level: index of the level of theory.
    """

    point: int
    nx: int
    ny: int
    nz: int
    atom: int
    n_atoms: int
    text: int
    n_bytes: int
    spin: int
    spin_components: int
    periodic: int
    level: int

    @property
    def n_points(self) -> int:
        """Number of grid points."""
        return self.nx * self.ny * self.nz

    @property
    def padded(self) -> int:
        """Number of grid points, rounded up to whole blocks."""
        return -(-self.n_points // BLOCK) * BLOCK


def is_training_store(path: str | Path) -> bool:
    """Return whether a path is a training store."""
    try:
        return read_attributes(path).get("format") == FORMAT
    except FileFormatError:
        return False


def read_attributes(path: str | Path) -> dict[str, Any]:
    """Return the attributes of a zarr group.

    Raises:
        FileFormatError: if there is none.
    """
    if not os.path.exists(os.path.join(path, METADATA)):
        raise FileFormatError(f"{path} is not a training store: it has no {METADATA}.")
    with reported(path, "is not a training store"):
        attributes = read_json(os.path.join(path, METADATA))["attributes"]
    return attributes if isinstance(attributes, dict) else {}
