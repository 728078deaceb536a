"""Reading one density, or its structure alone, wherever it is."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ase import Atoms

from deepdft.data.compact import CompactFile, is_compact
from deepdft.data.plane_waves import PlaneWaveArchive, is_plane_wave_archive
from deepdft.data.training_store_layout import is_training_store
from deepdft.density import Density
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.storage.tar_members import split_member

if TYPE_CHECKING:
    from deepdft.data.training_store import TrainingStore


def read_density(path: str | Path, **options: Any) -> Density:
    """Read a file, a tar member `ARCHIVE.tar::MEMBER`, or a density `STORE::NAME`.

    The last is one of a training store, a file of compact densities or an archive of plane waves.

    Args:
        path: where the density is.
        options: of the format's reader, see `deepdft.read`; stores have none.

    Raises:
        DeepDFTError: as `deepdft.read`, or if a store or file has no such density.
    """
    archive, name = split_member(path)
    if name is not None and is_training_store(archive):
        store, position = _found_in_store(archive, name)
        return store.density(position)
    opened = None if name is None else _archive(archive)
    if name is not None and opened is not None:
        return opened.density(name)
    from deepdft.formats import read

    return read(path, **options)


def read_preview(path: str | Path, **options: Any) -> Atoms:
    """Read the structure of a density as `deepdft.formats.read_preview` does, wherever it is.

    Raises:
        DeepDFTError: as `read_density`.
    """
    archive, name = split_member(path)
    if name is not None and is_training_store(archive):
        store, position = _found_in_store(archive, name)
        return store.atoms(position)
    opened = None if name is None else _archive(archive)
    if name is not None and opened is not None:
        return opened.atoms(name)
    from deepdft.formats import read_preview as read_file

    return read_file(path, **options)


def _archive(path: str) -> CompactFile | PlaneWaveArchive | None:
    if is_compact(path):
        return _compact(os.path.realpath(path), os.stat(path).st_mtime_ns)
    if is_plane_wave_archive(path):
        return _plane_waves(os.path.realpath(path), os.stat(path).st_mtime_ns)
    return None


@lru_cache(maxsize=4)
def _plane_waves(path: str, modified: int) -> PlaneWaveArchive:
    return PlaneWaveArchive(path)


@lru_cache(maxsize=4)
def _compact(path: str, modified: int) -> CompactFile:
    return CompactFile(path)


def _found_in_store(path: str, name: str) -> tuple[TrainingStore, int]:
    from deepdft.data.training_store import TrainingStore

    store = TrainingStore(path)
    if name not in store.names:
        hint = did_you_mean(name, store.names[:10000])
        raise ConfigurationError(f"The store {path} has no density '{name}'.{hint}")
    return store, store.names.index(name)
