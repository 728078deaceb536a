"""Zarr groups of strangers: what their descriptions may say before zarr makes anything of them.

Codecs run on whatever the chunks hold; one of them (`pickle`) runs code. So codecs and types are
those of a list, and sizes are compared with what lies on the disk.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deepdft.storage.expansion import is_beyond
from deepdft.storage.json_files import read_json

_METADATA = "zarr.json"
_CODECS = frozenset(("bytes", "blosc", "crc32c", "zstd", "gzip", "transpose"))
_TYPES = frozenset(
    f"{kind}{bits}" for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)
) | {"bool"}
_LARGEST_CHUNK = 1 << 28
"""Values."""


def require_plain(folder: str | Path, arrays: Iterable[str], large: Iterable[str] = ()) -> None:
    """Refuse a group whose arrays are not plain numbers in chunks of a sensible size.

    Args:
        folder: of the group.
        arrays: names of those that will be read whole, where they are there; they must not claim
            far more than lies on the disk.
        large: names of those that may be read in parts, see `require_held`.

    Raises:
        ValueError, KeyError, TypeError, FileFormatError: if it is none, or an array is unusual.
    """
    about = read_json(os.path.join(folder, _METADATA))
    if about["zarr_format"] != 3 or about["node_type"] != "group":
        raise ValueError("it is no group of the third format of zarr")
    whole = tuple(arrays)
    for name in (*whole, *large):
        place = os.path.join(folder, name, _METADATA)
        if os.path.exists(place):
            try:
                known = read_json(place)
                _require_plain_array(known)
                if name in whole:
                    _require_held(os.path.join(folder, name), math.prod(known["shape"]), 8)
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"the array '{name}': {error}") from None


def _require_plain_array(about: Any) -> None:
    shape, chunks = about["shape"], about["chunk_grid"]["configuration"]["chunk_shape"]
    if about["chunk_grid"]["name"] != "regular" or len(shape) != len(chunks):
        raise ValueError("its chunks are not regular")
    if not all(type(n) is int and n >= 0 for n in shape) or math.prod(shape) > 2**62:
        raise ValueError("its shape makes no sense")
    if not all(type(n) is int and n >= 1 for n in chunks) or math.prod(chunks) > _LARGEST_CHUNK:
        raise ValueError("the shape of its chunks makes no sense")
    if about["data_type"] not in _TYPES:
        raise ValueError(f"its values are of the type {str(about['data_type'])[:40]}")
    for codec in about["codecs"]:
        if codec["name"] not in _CODECS:
            raise ValueError(f"it is encoded with {str(codec['name'])[:40]}")
    if about.get("storage_transformers"):
        raise ValueError("it has storage transformers")


def require_held(folder: str | Path, array: Any) -> None:
    """Refuse to load an array that claims far more than lies in its folder.

    Args:
        folder: of the array.
        array: of zarr.

    Raises:
        ValueError: if it does.
    """
    _require_held(folder, array.size, array.dtype.itemsize)


def _require_held(folder: str | Path, count: int, size: int) -> None:
    if not is_beyond(count * size, 0):
        return
    stored = 0
    for place, _, names in os.walk(folder):
        stored += sum(os.path.getsize(os.path.join(place, name)) for name in names)
    if is_beyond(count * size, stored):
        raise ValueError(f"{count} values are claimed, and {stored} bytes are there")
