"""Reading one density, wherever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepdft.data.store_layout import is_store
from deepdft.density import Density
from deepdft.errors import ConfigurationError, did_you_mean
from deepdft.io.archive import split_member


def read_density(path: str | Path, **options: Any) -> Density:
    """Read a file, a tar member `ARCHIVE.tar::MEMBER` or a density `STORE::NAME` of a store.

    Args:
        path: where the density is.
        options: of the format's reader, see `deepdft.read`; a store has none.

    Raises:
        DeepDFTError: as `deepdft.read`, or if a store has no such density.
    """
    archive, name = split_member(path)
    if name is not None and is_store(archive):
        return _read_stored(archive, name)
    from deepdft.io import read

    return read(path, **options)


def _read_stored(path: str, name: str) -> Density:
    from deepdft.data.store import DensityStore

    store = DensityStore(path)
    if name not in store.names:
        hint = did_you_mean(name, store.names[:10000])
        raise ConfigurationError(f"The store {path} has no density '{name}'.{hint}")
    return store.density(store.names.index(name))
