"""Opening data by path, and splitting it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from deepdft.data.dataset import DensityDataset
from deepdft.data.reading import read_density, read_preview
from deepdft.data.sources import DataSource, find_sources
from deepdft.errors import ConfigurationError, FileFormatError, did_you_mean
from deepdft.levels import LevelOfTheory
from deepdft.storage.json_files import read_json


def open_dataset(
    paths: str | Path | Sequence[str | Path],
    level: Mapping[str, str] | LevelOfTheory | None = None,
    *,
    mix_levels: bool = False,
    read_options: Mapping[str, Any] | None = None,
) -> DensityDataset:
    """Open reference densities.

    >>> from importlib.resources import files
    >>> molecules = files("deepdft") / "bundled" / "molecules"
    >>> dataset = open_dataset(molecules / "C6H9NO.npz")
    >>> len(dataset), dataset.atoms(0).get_chemical_formula(), dataset.n_electrons(0)
    (1, 'C6H9NO', 44.0)
    >>> probes = dataset.draw(0, 100, np.random.default_rng(0), cutoff=4.0)
    >>> probes.points.shape, probes.values.shape
    ((100, 3), (100,))

    Args:
        paths: training stores, density files that `deepdft.read` reads, tar files of them, lists
            of paths (`.txt` or `.list`, one a line), directories or patterns (`runs/*/CHGCAR`) of
            any of these; or orbital archives (`.npz` with occupied orbitals). See
            `deepdft.data.sources`, also for the order, which is that of positions in a split.
        level: level of theory to assume for densities; where empty, that of the first of them.
        mix_levels: accept files of different levels of theory.
        read_options: of the readers of density files, see `deepdft.read`.

    Raises:
        ConfigurationError: if a path does not exist, holds no density or is given twice.
        FileFormatError: if an archive or a store is damaged.
        LevelOfTheoryError: if densities differ in their level of theory (of files, found when they
            are read).
    """
    if isinstance(paths, (str, Path)):
        paths = [paths]
    found = find_sources(paths)
    if not found:
        raise ConfigurationError(
            f"No density files were found in {', '.join(str(p) for p in paths) or 'data.paths'}."
        )
    archives = [source.path for source in found if source.kind == "orbitals"]
    if archives:
        other = next((source.path for source in found if source.kind != "orbitals"), None)
        if other is not None:
            raise ConfigurationError(
                f"Orbital archives and density files cannot be mixed: {archives[0]} and {other}."
            )
        from deepdft.data.orbital_dataset import OrbitalDataset

        return OrbitalDataset(archives)
    if not isinstance(level, LevelOfTheory):
        level = LevelOfTheory.from_dict(level) if level else None
    return _open_densities(found, level, mix_levels, dict(read_options or {}))


def _open_densities(
    found: Sequence[DataSource],
    level: LevelOfTheory | None,
    mix_levels: bool,
    read_options: dict[str, Any],
) -> DensityDataset:
    from deepdft.data.grid_dataset import GridDataset
    from deepdft.data.joined import JoinedDataset
    from deepdft.data.training_store import TrainingStoreDataset

    read = partial(read_density, **read_options)
    preview = partial(read_preview, **read_options)
    parts: list[DensityDataset] = []
    titles: list[str] = []
    # Consecutive files become one dataset, every store is one.
    for kind, group in groupby(found, key=lambda source: source.kind):
        paths = [source.path for source in group]
        if kind == "store":
            parts += [TrainingStoreDataset(path, level, mix_levels=mix_levels) for path in paths]
            titles += [os.path.normpath(path) for path in paths]
        else:
            parts.append(GridDataset(paths, level, read, preview=preview, mix_levels=mix_levels))
            titles.append(os.path.dirname(paths[0]) or ".")
    if len(parts) == 1:
        return parts[0]
    return JoinedDataset(parts, titles, mix_levels=mix_levels)


def read_split(path: str | Path, dataset: DensityDataset) -> dict[str, list[int]]:
    """Read a JSON split and return positions in `dataset` for each part.

    Entries are names, as in `dataset.names` (numbers as text or as integers; text also without
    what follows the first dot, as "mol_12" for mol_12.CHGCAR.zz), or, where no entry is such a
    name, zero-based positions. Entries of names that the data lack are an error.

    Raises:
        ConfigurationError: if the file is unusable, an entry does not exist or is in two parts.
    """
    try:
        content = read_json(path)
    except FileFormatError as error:
        raise ConfigurationError(f"The split {error}") from None
    if not isinstance(content, dict):
        raise ConfigurationError(f"The split {path} must hold lists by name ('train', ...).")
    parts = {str(key): value for key, value in content.items() if isinstance(value, list)}
    names = _Names(dataset.names)
    by_name = any(
        names.position_of(entry) is not None for entries in parts.values() for entry in entries
    )
    result: dict[str, list[int]] = {}
    owner: dict[int, str] = {}
    for part, entries in parts.items():
        result[part] = []
        for entry in entries:
            position = names.position_of(entry) if by_name else _position(entry, len(dataset))
            if position is None:
                raise ConfigurationError(f"The split {path} names '{entry}', which the data lack.")
            if owner.setdefault(position, part) != part:
                raise ConfigurationError(
                    f"The split {path} has '{entry}' both in '{owner[position]}' and in '{part}'."
                )
            result[part].append(position)
    return result


class _Names:
    """Positions of structures by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._whole = {name: i for i, name in enumerate(names)}
        stems = [name.partition(".")[0] for name in names]
        counts = Counter(stems)
        self._stems = {stem: i for i, stem in enumerate(stems) if stem and counts[stem] == 1}

    def position_of(self, entry: object) -> int | None:
        # An integer is a position unless a structure has exactly that name.
        position = self._whole.get(str(entry))
        if position is None and isinstance(entry, str):
            position = self._stems.get(entry)
        return position


def _position(entry: object, count: int) -> int | None:
    return entry if isinstance(entry, int) and 0 <= entry < count else None


def split_part(path: str | Path, part: str, dataset: DensityDataset) -> DensityDataset:
    """Return one part ('test', ...) of a split as a dataset.

    Raises:
        ConfigurationError: as `read_split`, or if there is no such part or nothing in it.
    """
    parts = read_split(path, dataset)
    if part not in parts:
        raise ConfigurationError(
            f"The split {path} has no part '{part}'; it has {', '.join(parts) or 'none'}."
            + did_you_mean(part, parts)
        )
    if not parts[part]:
        raise ConfigurationError(f"The split {path} has no structures under '{part}'.")
    return dataset.subset(parts[part])


def random_split(count: int, validation_count: int, seed: int) -> dict[str, list[int]]:
    """Hold out random structures for validation.

    >>> {part: len(indices) for part, indices in random_split(10, 3, seed=0).items()}
    {'validation': 3, 'train': 7}

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


def shuffled_with_elements_first(
    dataset: DensityDataset, indices: Sequence[int], seed: int
) -> list[int]:
    """Return structures in a random order; those that bring in an element come first.

    A learning curve's selections are beginnings of this order. Without the rule small ones would
    lack rare elements, and a model could not treat the validation part.
    """
    order = [indices[i] for i in np.random.default_rng(seed).permutation(len(indices))]
    known: set[int] = set()
    first = []
    for index in order:
        new = {int(z) for z in dataset.preview(index).numbers} - known
        if new:
            first.append(index)
            known |= new
    chosen = set(first)
    return first + [index for index in order if index not in chosen]
