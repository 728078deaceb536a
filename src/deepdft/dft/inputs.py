"""The structures of a campaign, from files and folders, each with a name of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from deepdft.errors import ConfigurationError, DeepDFTError
from deepdft.structures import ReadOptions, Structure, read_structures

_BESIDE = {".json", ".md", ".txt", ".yaml", ".yml", ".csv", ".log", ".py", ".sh", ".npz"}
"""Suffixes of what lies beside structures in a folder."""


def read_inputs(
    paths: Sequence[str | Path],
    options: ReadOptions | None = None,
    refused: Callable[[str, DeepDFTError], None] | None = None,
) -> list[Structure]:
    """Read structures with names that are different and fit for files.

    A structure is called what its `info["name"]` says, as extended XYZ files have it, or after its
    file, with the frame's number for several frames; where files of several folders share a name,
    after their folders as well.

    Args:
        paths: structure files, all frames of them; folders of such files (not searched deeper;
            hidden files and descriptions such as `.md` and `.json` are left out).
        options: charge, spin and what else is said about the structures.
        refused: is told of a structure that cannot be used, see `read_structures`.

    Raises:
        ConfigurationError: if a path does not exist, a folder holds nothing, or a file is given
            twice.
        FileFormatError: if a file cannot be read.
        UnsupportedStructureError: if a structure cannot be what was meant.
    """
    files = [file for path in paths for file in _files(Path(path))]
    repeated = [file for file, count in Counter(f.resolve() for f in files).items() if count > 1]
    if repeated:
        raise ConfigurationError(f"The structure file {repeated[0]} is given more than once.")
    groups = [
        (file, [_called(s) for s in read_structures(file, options, refused)]) for file in files
    ]
    structures = [structure for _, group in groups for structure in group]
    for depth in range(1, 10):
        names = [_safe(structure.name) for structure in structures]
        if len(set(names)) == len(names):
            return [replace(s, name=n) for n, s in zip(names, structures, strict=True)]
        structures = [
            replace(s, name="_".join([*_folders(file, depth), s.name]))
            for file, group in groups
            for s in group
        ]
    name = Counter(structure.name for structure in structures).most_common(1)[0][0]
    raise ConfigurationError(f"Several structures are called {name}; rename their files.")


def _called(structure: Structure) -> Structure:
    name = structure.atoms.info.get("name")
    return replace(structure, name=name) if isinstance(name, str) else structure


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise ConfigurationError(f"There is no structure file or folder {path}.")
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.iterdir()
        if file.is_file() and not file.name.startswith(".") and file.suffix not in _BESIDE
    )
    if not found:
        raise ConfigurationError(
            f"The folder {path} holds no structure files; folders within it are not searched."
        )
    return found


def _folders(file: Path, depth: int) -> list[str]:
    return [part.strip("/") for part in file.resolve().parts[:-1][-depth:] if part.strip("/")]


def _safe(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "_", name).lstrip(".") or "structure"
