"""Where data come from: files, folders, patterns, tar files, lists of paths, training stores.

Whatever is named is taken apart into single densities, training stores and orbital archives, in a
fixed order: files of a folder and matches of a pattern by name, members of a tar file as they lie
in it (those of a file of compact densities or plane waves likewise), lines of a list as they stand.
Positions in a split count in this order.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from deepdft.data.compact import CompactFile, is_compact
from deepdft.data.plane_waves import PlaneWaveArchive, is_plane_wave_archive
from deepdft.data.training_store_layout import is_training_store
from deepdft.errors import ConfigurationError
from deepdft.storage.numpy_archives import has_members
from deepdft.storage.tar_members import SEPARATOR, members, split_member

_IGNORED = {".json", ".md", ".txt", ".yaml", ".yml", ".csv", ".list", ".log", ".py", ".sh"}
"""Suffixes of what lies beside data: splits, descriptions, lists."""
_TAR = re.compile(r"\.(tar|tgz|tbz2?|txz|tar\.\w+)$", re.IGNORECASE)
_LISTS = (".txt", ".list")


class DataSource(NamedTuple):
    """One thing that holds densities.

    Attributes:
        kind: a single density (a file, a zarr group, a tar member), a training store, or an archive
            of orbitals.
        path: where it is; `ARCHIVE.tar::MEMBER` for a tar member, `FILE.zip::NAME` for one of
            compact densities, `FILE.npz::NAME` for one of an archive of plane waves.
    """

    kind: Literal["density", "store", "orbitals"]
    path: str


def find_sources(paths: Sequence[str | Path]) -> list[DataSource]:
    """Take apart what is named into densities, stores and orbital archives.

    Raises:
        ConfigurationError: if a path or a line of a list does not exist, or lists go in circles.
        FileFormatError: if a tar file is compressed or damaged.
    """
    return [source for path in paths for source in _expand(os.fspath(path), ())]


def _expand(path: str, lists: tuple[str, ...]) -> Iterator[DataSource]:
    if split_member(path)[1] is not None:
        yield DataSource("density", path)
    elif os.path.isdir(path):
        yield from _expand_folder(path)
    elif os.path.exists(path):
        yield from _expand_file(path, lists)
    elif glob.has_magic(path) and "\0" not in path:
        matches = sorted(glob.glob(os.path.expanduser(path), recursive=True))
        if not matches:
            raise ConfigurationError(f"No file matches the pattern {path}.")
        for match in matches:
            yield from _expand(match, lists)
    else:
        raise ConfigurationError(f"The data path {path} does not exist.")


def _expand_file(path: str, lists: tuple[str, ...]) -> Iterator[DataSource]:
    if _TAR.search(path):
        # tar stores a folder's name as ./NAME/FILE, macOS its attributes as ._FILE.
        for member in members(path):
            if not _is_beside_data(os.path.basename(split_member(member)[1] or member)):
                yield DataSource("density", member)
    elif is_compact(path):
        for name in CompactFile(path).names:
            yield DataSource("density", f"{path}{SEPARATOR}{name}")
    elif is_plane_wave_archive(path):
        for name in PlaneWaveArchive(path).names:
            yield DataSource("density", f"{path}{SEPARATOR}{name}")
    elif path.lower().endswith(_LISTS):
        yield from _expand_list(path, lists)
    elif _is_orbital_archive(path):
        yield DataSource("orbitals", path)
    else:
        yield DataSource("density", path)


def _expand_folder(path: str) -> Iterator[DataSource]:
    if is_training_store(path):
        yield DataSource("store", path)
        return
    if is_zarr_group(path):
        yield DataSource("density", path)
        return
    found = False
    for name in sorted(os.listdir(path)):
        inner = os.path.join(path, name)
        if name.startswith("."):
            continue
        if os.path.isdir(inner):
            # Folders within are not searched; stores and zarr groups are folders by accident.
            if is_zarr_group(inner):
                found = True
                yield from _expand_folder(inner)
        elif not _is_beside_data(name):
            found = True
            yield from _expand_file(inner, ())
    if not found:
        raise ConfigurationError(
            f"No density files were found in {path}; folders within it are not searched, but a "
            f"pattern such as '{os.path.join(path, '*', 'CHGCAR')}' reaches them."
        )


def _expand_list(path: str, lists: tuple[str, ...]) -> Iterator[DataSource]:
    real = os.path.realpath(path)
    if real in lists:
        raise ConfigurationError(f"The list {path} contains itself.")
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The list {path} cannot be read: {error}.") from None
    for number, line in enumerate(lines, start=1):
        entry = line.strip()
        if not entry or entry.startswith("#"):
            continue
        inner = os.path.join(os.path.dirname(path), os.path.expanduser(entry))
        if not (os.path.exists(split_member(inner)[0]) or glob.has_magic(inner)):
            raise ConfigurationError(
                f"{path}, line {number}: there is no '{entry}' (paths are relative to the list)."
            )
        yield from _expand(inner, (*lists, real))


def _is_beside_data(name: str) -> bool:
    return name.startswith(".") or os.path.splitext(name)[1].lower() in _IGNORED


def is_zarr_group(path: str) -> bool:
    """Return whether a path is a zarr group, of any kind."""
    return any(os.path.exists(os.path.join(path, name)) for name in ("zarr.json", ".zgroup"))


def _is_orbital_archive(path: str) -> bool:
    return path.endswith(".npz") and has_members(path, ["coeff.npy", "nocc.npy"])
