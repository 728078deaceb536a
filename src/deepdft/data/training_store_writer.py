"""Writing training stores: appended to, and gone on with after an interruption."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from deepdft.data.grid_probes import sums_of_blocks
from deepdft.data.training_store import TrainingStore
from deepdft.data.training_store_layout import (
    ARRAYS,
    BLOCK,
    FORMAT,
    VERSION,
    Entry,
    is_training_store,
    read_attributes,
)
from deepdft.density import Density, Grid
from deepdft.errors import ConfigurationError, DeepDFTError, FileFormatError
from deepdft.failures import RefusedBySystemError, unwritable
from deepdft.levels import LevelOfTheory, common_level
from deepdft.storage.damage import reported
from deepdft.storage.density_group import storable
from deepdft.storage.growing_array import METADATA, GrowingArray
from deepdft.storage.locks import sole_writer
from deepdft.storage.replace import replacing
from deepdft.storage.whole_files import replace_locked

_SYNC_SECONDS = 5.0
"""How often data are forced onto the disk."""
_SLAB_POINTS = 1 << 20


class TrainingStoreWriter:
    """Appends densities to a training store, which is made where there is none.

    A context manager. Each density counts as soon as `append` returns; a process that is killed
    loses at most the one it was writing, and what the machine had not yet brought to the disk when
    its power failed is found out and dropped when the store is opened for writing again.

    Args:
        path: the folder.
        mix_levels: accept densities of different levels of theory.

    Attributes:
        names: names of the densities in the store, in order.

    Raises:
        ConfigurationError: if the path is something else, cannot be written to, or another process
            is writing to it.
        FileFormatError: if the store is damaged.
    """

    def __init__(self, path: str | Path, *, mix_levels: bool = False) -> None:
        self.path = os.fspath(path)
        self._mix_levels = mix_levels
        if not is_training_store(path) and not os.path.exists(_synced_copy(self.path)):
            _create(self.path)
        self._closed = False
        with ExitStack() as stack:
            taken = f"Another process is writing to the store {path}"
            stack.enter_context(sole_writer(os.path.join(path, "density", "lock"), taken))
            self._open()
            self._lock = stack.pop_all()

    def _open(self) -> None:
        if not is_training_store(self.path):
            # The power failed while the description of the group was on its way to the disk.
            copy = Path(_synced_copy(self.path)).read_bytes()
            replace_locked(os.path.join(self.path, METADATA), copy, durable=True)
        with reported(f"The store {self.path}"):
            self._synced = int(read_attributes(self.path).get("synced", 0))
            if self._synced < 0:
                raise ValueError(f"{self._synced} densities are on the disk")
        try:
            store = TrainingStore(self.path)
        except FileFormatError:
            # The power failed: what is newer than the last `sync` is lost.
            store = TrainingStore(self.path, self._synced)
        count = len(store)
        for index in range(self._synced, len(store)):
            if not _is_intact(store, index):
                count = index
                break
        self._synced = min(self._synced, count)
        self.names = store.names[:count]
        self._known = set(self.names)
        self._levels = store.levels
        self._arrays = {name: GrowingArray(os.path.join(self.path, name)) for name in ARRAYS}
        self._rewind(count, store.entry(count - 1) if count else None)
        self._last_sync = time.monotonic()

    def _rewind(self, count: int, last: Entry | None) -> None:
        """Go on behind the entries that count."""
        ends = dict.fromkeys(ARRAYS, 0) | {"entries": count, "cells": count}
        if last is not None:
            ends["density"] = last.point + last.padded
            ends["block_sums"] = ends["density"] // BLOCK
            ends["numbers"] = ends["positions"] = last.atom + last.n_atoms
            ends["descriptions"] = last.text + last.n_bytes
            # `spin` of an entry without a spin density is where the next one would start.
            ends["spin"] = last.spin + last.spin_components * last.n_points
        for name, end in ends.items():
            self._arrays[name].rewind(end)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Bring everything to the disk and give the store free."""
        if self._closed:
            return
        self._closed = True
        try:
            for array in self._arrays.values():
                array.close()
            _write_group(self.path, len(self.names), len(self.names), self._levels)
        finally:
            self._lock.close()

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __len__(self) -> int:
        return len(self.names)

    def append(self, name: str, density: Density) -> None:
        """Append a density, with its spin density.

        Raises:
            ConfigurationError: if the name is taken or unusable, there are no atoms, a value is not
                finite or beyond single precision, or the values are not a density.
            LevelOfTheoryError: if the level of theory differs and `mix_levels` was not set.
        """
        quantity = density.metadata.get("quantity", "density")
        if quantity != "density":
            raise ConfigurationError(f"{name} holds a {quantity}, which is not stored.")
        spin = None
        if density.spin is not None:
            spin = density.spin.reshape(-1, *density.grid.shape)
        known = storable({k: v for k, v in density.metadata.items() if k != "augmentation"})
        known["notes"] = list(density.metadata.get("notes", []))
        self.append_slabs(
            name, density.atoms, density.grid, _slabs(density.values, density.grid),
            level=density.level, spin=spin, metadata=known,
        )  # fmt: skip

    def append_slabs(
        self,
        name: str,
        atoms: Atoms,
        grid: Grid,
        slabs: Iterable[NDArray[np.floating[Any]]],
        *,
        level: LevelOfTheory | None = None,
        spin: NDArray[np.floating[Any]] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Append a density that comes in slabs along the first axis.

        Args:
            name: unique in the store, without line feeds.
            atoms: the structure; of its `info` is kept what JSON can hold.
            grid: the points.
            slabs: (layers, ny, nz) each, nx layers in all, e/Å^3.
            level: level of theory.
            spin: (1 or 3, nx, ny, nz) spin density, or None.
            metadata: what JSON can hold.

        Raises:
            ConfigurationError: as `append`, or if layers are missing or too many.
            LevelOfTheoryError: as `append`.
        """
        if len(atoms) == 0:
            raise ConfigurationError(f"{name} has no atoms, so nothing can be learned from it.")
        if name in self or not name or "\n" in name:
            raise ConfigurationError(
                f"The store {self.path} cannot take the name {name!r} (again)."
            )
        arrays = self._arrays
        before = {key: array.end for key, array in arrays.items()}
        levels_before = len(self._levels)
        level_number = self._number_of(level or LevelOfTheory(), name)
        try:
            total = self._append_values(name, slabs, grid)
            for component in () if spin is None else spin:
                for slab in _slabs(component, grid):
                    arrays["spin"].append(_single_precision(slab, name).reshape(-1))
            known = {**(metadata or {}), "info": _plain(atoms.info)}
            text = f"{name}\n{json.dumps(known)}".encode()
            arrays["numbers"].append(atoms.numbers)
            arrays["positions"].append(atoms.positions)
            arrays["descriptions"].append(np.frombuffer(text, np.uint8))
            entry = Entry(
                before["density"], *grid.shape, before["numbers"], len(atoms),
                before["descriptions"], len(text), before["spin"],
                0 if spin is None else len(spin),
                sum(int(p) << axis for axis, p in enumerate(atoms.pbc)), level_number,
            )  # fmt: skip
            self._append_entry(entry, atoms, grid, total * grid.voxel_volume)
            self._commit(name)
        except BaseException:
            for key, end in before.items():
                arrays[key].rewind(end)
            if name not in self:
                del self._levels[levels_before:]
            raise

    def _append_entry(self, entry: Entry, atoms: Atoms, grid: Grid, electrons: float) -> None:
        cell = np.asarray(atoms.cell).ravel()
        self._arrays["entries"].append([entry])
        self._arrays["cells"].append([[*grid.cell.ravel(), *grid.origin, *cell, electrons]])

    def _append_values(
        self, name: str, slabs: Iterable[NDArray[np.floating[Any]]], grid: Grid
    ) -> float:
        """Write values and the sums of their blocks; return the sum of the values."""
        total = 0.0
        layers = 0
        waiting = np.empty(0, np.float32)
        for slab in slabs:
            layers += len(slab)
            if slab.shape[1:] != grid.shape[1:] or layers > grid.shape[0]:
                raise ConfigurationError(
                    f"{name}: a slab of shape {slab.shape} does not continue a grid of "
                    f"{grid.shape} points."
                )
            values = _single_precision(slab, name).reshape(-1)
            total += float(values.sum(dtype=np.float64))
            waiting = np.concatenate((waiting, values))
            whole = len(waiting) // BLOCK * BLOCK
            self._append_blocks(waiting[:whole])
            waiting = waiting[whole:]
        if layers != grid.shape[0]:
            raise ConfigurationError(f"{name}: {layers} of {grid.shape[0]} layers were given.")
        self._append_blocks(np.pad(waiting, (0, -len(waiting) % BLOCK)))
        return total

    def _append_blocks(self, values: NDArray[np.float32]) -> None:
        self._arrays["density"].append(values)
        self._arrays["block_sums"].append(sums_of_blocks(values))

    def _number_of(self, level: LevelOfTheory, name: str) -> int:
        if not self._mix_levels:
            common_level([*self._levels, level], f"{name} does not fit the store {self.path}")
        if level not in self._levels:
            self._levels.append(level)
        return self._levels.index(level)

    def _commit(self, name: str) -> None:
        """Count the density that was written last."""
        for array in self._arrays.values():
            array.commit()
        if time.monotonic() - self._last_sync > _SYNC_SECONDS:
            for array in self._arrays.values():
                array.sync()
            self._synced = len(self.names) + 1
            self._last_sync = time.monotonic()
        _write_group(self.path, len(self.names) + 1, self._synced, self._levels)
        self.names.append(name)
        self._known.add(name)


def _slabs(values: NDArray[np.floating[Any]], grid: Grid) -> Iterator[NDArray[np.floating[Any]]]:
    for start, stop in grid.slabs(0, _SLAB_POINTS):
        yield values[start:stop]


def _plain(info: dict[str, Any]) -> dict[str, Any]:
    """Return the part of `atoms.info` that JSON can hold; numbers of NumPy become plain ones."""
    return storable({
        key: value.tolist() if isinstance(value, np.generic | np.ndarray) else value
        for key, value in info.items()
    })  # fmt: skip


def _single_precision(values: NDArray[np.floating[Any]], name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(values, dtype=np.float32)
    if not np.isfinite(converted).all():
        raise ConfigurationError(f"{name}: a value is not finite, or too large to be stored.")
    return converted


def _write_group(path: str, count: int, synced: int, levels: Iterable[LevelOfTheory]) -> None:
    attributes = {
        "format": FORMAT,
        "version": VERSION,
        "unit": "e/angstrom^3",
        "count": count,
        "synced": synced,
        "levels": [level.to_dict() for level in levels],
        "columns_of_entries": list(Entry._fields),
    }
    content = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    text = json.dumps(content, indent=1).encode()
    durable = count == synced
    replace_locked(os.path.join(path, METADATA), text, durable=durable)
    if durable:
        replace_locked(_synced_copy(path), text, durable=True)


def _synced_copy(path: str) -> str:
    """Return where a description is kept that has reached the disk."""
    return os.path.join(path, "density", "synced.json")


def _create(path: str) -> None:
    """Make an empty store, which appears whole or not at all."""
    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    if os.path.exists(target) and not (os.path.isdir(target) and not os.listdir(target)):
        raise ConfigurationError(
            f"{path} exists and is not a training store; give another name or delete it."
        )
    if not os.path.isdir(folder):
        raise ConfigurationError(f"There is no folder {folder} to write {name} into.")
    with replacing(target, new=True) as place:
        try:
            for array, (dtype, row_shape, chunk_bytes) in ARRAYS.items():
                row = int(np.prod(row_shape, dtype=np.int64)) * np.dtype(dtype).itemsize
                GrowingArray.create(place / array, dtype, row_shape, max(1, chunk_bytes // row))
            _write_group(os.fspath(place), 0, 0, [])
        except OSError as error:
            raise RefusedBySystemError(unwritable(error, path)) from None


def _is_intact(store: TrainingStore, index: int) -> bool:
    """Return whether the values of a density are those that were counted."""
    try:
        grid = store.grid(index)
        values = store.slab(index, 0, grid.shape[0])
        stored = store.values(index).magnitude
    except DeepDFTError:
        return False
    found = float(np.abs(values).sum(dtype=np.float64))
    electrons = float(values.sum(dtype=np.float64)) * grid.voxel_volume
    slack = 1e-9 * stored
    return (
        abs(found - stored) <= slack
        and abs(electrons - store.n_electrons(index)) <= slack * grid.voxel_volume
    )
