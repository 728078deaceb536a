"""NumPy's archives (.npz) of strangers: arrays of numbers and text, never objects.

Headers are compared with what the file holds before anything is allocated.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Collection, Mapping, Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deepdft.storage.damage import DAMAGE
from deepdft.storage.expansion import RATIO, is_beyond

_LONGEST_HEADER = 10_000
"""Bytes."""


def has_members(path: str | os.PathLike[str], names: Collection[str]) -> bool:
    """Return whether a path is a zip archive that holds members of these names."""
    if not os.path.isfile(path) or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return set(names) <= set(archive.namelist())
    except DAMAGE:
        return False


def read_arrays(
    file: str | os.PathLike[str] | IO[bytes],
    without: Sequence[str] = (),
    only: Sequence[str] | None = None,
) -> dict[str, NDArray[Any]]:
    """Return the arrays of an archive by name.

    Args:
        file: path, or a file that can be read at random.
        without: names that are left out.
        only: names that are wanted, of those that there are; default: all.

    Raises:
        ValueError, or what else is in `deepdft.storage.damage.DAMAGE`: if it is no
            archive, damaged, holds objects, claims more than it holds, or expands beyond
            `deepdft.storage.expansion`.
    """
    if isinstance(file, str | os.PathLike) and not os.path.isfile(file):
        if os.path.exists(file):
            raise ValueError("it is no regular file")
        raise FileNotFoundError(2, "No such file or directory", os.fspath(file))
    with zipfile.ZipFile(file) as archive:
        members = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if (name := info.filename.removesuffix(".npy")) not in without
            and (only is None or name in only)
        }
        require_sensible(archive)
        return {name: _read_array(archive, info) for name, info in members.items()}


Layout = Mapping[str, tuple[str, tuple[int | None, ...]]]
"""Of arrays by name: letters of the kinds that a dtype may have, and the shape, None for any."""


def require_layout(arrays: Mapping[str, NDArray[Any]], layout: Layout) -> None:
    """Raise `ValueError` if an array is not as it should be; those that are missing are not asked.

    Numbers must be finite.
    """
    for name, (kinds, shape) in layout.items():
        array = arrays.get(name)
        if array is None:
            continue
        fits = len(array.shape) == len(shape) and all(
            wanted in (None, found) for wanted, found in zip(shape, array.shape, strict=True)
        )
        if not fits:
            raise ValueError(f"'{name}' has the shape {array.shape}")
        if array.dtype.kind not in kinds:
            raise ValueError(f"'{name}' holds {array.dtype}")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"a value of '{name}' is not finite")


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Return a member of an archive that `require_sensible` has looked at."""
    info = archive.getinfo(name)
    with archive.open(info) as member:
        return member.read(info.file_size)


def require_sensible(archive: zipfile.ZipFile) -> None:
    """Raise `ValueError` if an archive is made to expand beyond measure.

    Its members must not overlap (a little data would stand for much), and together not expand
    beyond `deepdft.storage.expansion`.
    """
    infos = archive.infolist()
    file = archive.fp
    assert file is not None
    size = file.seek(0, io.SEEK_END)
    stored = sum(info.compress_size for info in infos)
    expanded = sum(info.file_size for info in infos)
    if stored > size:
        raise ValueError("its members overlap")
    if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for i in infos):
        raise ValueError("a member is compressed in an unusual way")
    if is_beyond(expanded, size):
        raise ValueError(
            f"it claims to expand to {expanded >> 20} MiB, over {RATIO} times its size"
        )


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    with archive.open(info) as member:
        version = np.lib.format.read_magic(member)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, _, kind = readers[version](member, max_header_size=_LONGEST_HEADER)
        size = math.prod(int(n) for n in shape) * kind.itemsize
        # Deflate expands at most 1,032 times.
        if kind.hasobject or size > info.file_size or size > 1100 * max(info.compress_size, 1):
            raise ValueError(f"{info.filename} claims {size} bytes, which the file does not hold")
    with archive.open(info) as member:
        array: NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array
