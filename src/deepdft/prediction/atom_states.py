"""What the atoms of a structure send to probes, in a file that processes share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.architectures.interface import CpuNetwork
from deepdft.storage.replace import replacing


def write_atom_states(
    network: CpuNetwork, atoms: Atoms, path: str | Path, threads: int | None = None
) -> None:
    """Write what a network's `encode` returns into a file that `map_atom_states` opens.

    The file appears whole or not at all; memory holds no copy of it.

    Args:
        network: what evaluates the network.
        atoms: the structure.
        path: an .npy file.
        threads: CPU threads; default: all that this process may use.

    Raises:
        UnsupportedStructureError: as `CpuNetwork.encode`.
    """
    with replacing(path) as place:

        def allocate(shape: tuple[int, int, int], kind: Any) -> NDArray[Any]:
            mapped: NDArray[Any] = np.lib.format.open_memmap(place, "w+", kind, shape)
            if hasattr(os, "posix_fallocate"):
                # Memory that a full disk does not take would end the process without a word.
                with place.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, place.stat().st_size)
            return mapped

        network.encode(atoms, threads, allocate)


def map_atom_states(path: str | Path) -> NDArray[Any]:
    """Return the content of a file that `write_atom_states` has written, (steps, atoms, channels).

    It is mapped into memory: what is read is loaded from disk, and processes share it.
    """
    # Copy on write, because torch warns about arrays that cannot be written to.
    array: NDArray[Any] = np.load(path, mmap_mode="c", allow_pickle=False)
    return array
