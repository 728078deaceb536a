"""Opening data by path, and splitting it."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deepdft.data.dataset import DensityDataset
from deepdft.density import LevelOfTheory
from deepdft.errors import ConfigurationError, did_you_mean


def open_dataset(
    paths: str | Path | Sequence[str | Path],
    level: Mapping[str, str] | None = None,
    *,
    mix_levels: bool = False,
) -> DensityDataset:
    """Open reference densities.

    Args:
        paths: orbital archives (`.npz` with occupied orbitals), density files that `deepdft.read`
            reads, or directories of either; not both kinds at once.
        level: level of theory to assume for density files, as a dictionary.
        mix_levels: accept files of different levels of theory.

    Raises:
        ConfigurationError: if a path does not exist or holds no density.
        LevelOfTheoryError: if files differ in their level of theory (found when they are read).
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    files = [file for path in paths for file in _files(Path(path))]
    if not files:
        raise ConfigurationError(
            f"No density files were found in {', '.join(str(p) for p in paths) or 'data.paths'}."
        )
    archives = [file for file in files if _is_orbital_archive(file)]
    if not archives:
        from deepdft.data.grid_dataset import GridDataset

        chosen = LevelOfTheory.from_dict(level) if level else None
        return GridDataset(files, chosen, mix_levels=mix_levels)
    if len(archives) != len(files):
        other = next(file for file in files if file not in archives)
        raise ConfigurationError(
            f"Orbital archives and density files cannot be mixed: {archives[0]} and {other}."
        )
    from deepdft.data.orbital_dataset import OrbitalDataset

    return OrbitalDataset(archives)


def _is_orbital_archive(path: Path) -> bool:
    if path.suffix != ".npz" or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return {"coeff.npy", "nocc.npy"} <= set(archive.namelist())


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        # JSON and text files beside the data hold splits and descriptions.
        ignored = {".json", ".md", ".txt", ".yaml", ".yml", ".csv"}
        return sorted(
            file
            for file in path.iterdir()
            if file.is_file() and not file.name.startswith(".") and file.suffix not in ignored
        )
    if not path.exists():
        raise ConfigurationError(f"The data path {path} does not exist.")
    return [path]


def read_split(path: str | Path, dataset: DensityDataset) -> dict[str, list[int]]:
    """Read a JSON split and return positions in `dataset` for each part.

    Entries are names, as in `dataset.names` (numbers as text or as integers), or, where no entry
    is such a name, zero-based positions. Entries of names that the data lack are an error.

    Raises:
        ConfigurationError: if the file is unusable, an entry does not exist or is in two parts.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"The split {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigurationError(f"The split {path} is not valid JSON: {error}.") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"The split {path} must hold lists by name ('train', ...).")
    parts = {str(key): value for key, value in content.items() if isinstance(value, list)}
    position_of = {name: i for i, name in enumerate(dataset.names)}
    by_name = any(str(entry) in position_of for entries in parts.values() for entry in entries)
    result: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for part, entries in parts.items():
        result[part] = []
        for entry in entries:
            position = position_of.get(str(entry)) if by_name else _position(entry, len(dataset))
            if position is None:
                raise ConfigurationError(f"The split {path} names '{entry}', which the data lack.")
            if owner.setdefault(position, part) != part:
                raise ConfigurationError(
                    f"The split {path} has '{entry}' both in '{owner[position]}' and in '{part}'."
                )
            result[part].append(position)
    return result


def _position(entry: object, count: int) -> int | None:
    return entry if isinstance(entry, int) and 0 <= entry < count else None


def split_part(path: str | Path, part: str, dataset: DensityDataset) -> DensityDataset:
    """Return one part ('test', ...) of a split as a dataset.

    Raises:
        ConfigurationError: as `read_split`, or if there is no such part.
    """
    parts = read_split(path, dataset)
    if part not in parts:
        raise ConfigurationError(
            f"The split {path} has no part '{part}'; it has {', '.join(parts) or 'none'}."
            + did_you_mean(part, parts)
        )
    return dataset.subset(parts[part])


def random_split(count: int, validation_count: int, seed: int) -> dict[str, list[int]]:
    """Hold out random structures for validation.

    Raises:
        ConfigurationError: if nothing would be left to train on.
    """
    if validation_count >= count:
        raise ConfigurationError(
            f"{validation_count} of {count} structures cannot be held out for validation; lower "
            "data.validation_count or give data.split."
        )
    order = np.random.default_rng(seed).permutation(count)
    return {
        "validation": sorted(int(i) for i in order[:validation_count]),
        "train": sorted(int(i) for i in order[validation_count:]),
    }
