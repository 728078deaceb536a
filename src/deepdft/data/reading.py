"""Reading one density, wherever it is."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from deepdft.data.compact import CompactFile, is_compact
from deepdft.data.plane_waves import PlaneWaveArchive, is_plane_wave_archive
from deepdft.data.training_store_layout import is_training_store
from deepdft.density import Density
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.storage.tar_members import split_member


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
        return _read_stored(archive, name)
    if name is not None and is_compact(archive):
        return _compact(os.path.realpath(archive), os.stat(archive).st_mtime_ns).density(name)
    if name is not None and is_plane_wave_archive(archive):
        return _plane_waves(os.path.realpath(archive), os.stat(archive).st_mtime_ns).density(name)
    from deepdft.formats import read

    return read(path, **options)


@lru_cache(maxsize=4)
def _plane_waves(path: str, modified: int) -> PlaneWaveArchive:
    return PlaneWaveArchive(path)


@lru_cache(maxsize=4)
def _compact(path: str, modified: int) -> CompactFile:
    return CompactFile(path)


def _read_stored(path: str, name: str) -> Density:
    from deepdft.data.training_store import TrainingStore

    store = TrainingStore(path)
    if name not in store.names:
        hint = did_you_mean(name, store.names[:10000])
        raise ConfigurationError(f"The store {path} has no density '{name}'.{hint}")
    return store.density(store.names.index(name))
