"""Table 1: the systems' models measured on their test densities, and what follows from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase import Atoms

from deepdft.data import DensityDataset, open_dataset, split_part
from deepdft.data.conversion import fill_store
from deepdft.errors import ConfigurationError
from deepdft.models.bundled import bundled_models, find_model, model_digest
from deepdft.prediction.trained_model import load_model
from deepdft.training.config import read_config
from deepdft_paper.reproduce.claims import Outlier, Rarity, Tail, outliers_of, rarity, tail
from deepdft_paper.reproduce.environments import count_environments
from deepdft_paper.reproduce.measure import Measured, Results, measure
from deepdft_paper.reproduce.systems import Missing, System
from deepdft_paper.reproduce.table import Row, row_of, without_model

SPACING, MARGIN = 0.1, 5.0
QUICK_SPACING = 0.25
"""Grid spacing of a quick look, Å."""

Progress = Callable[[str, int], None]
"""Called with a structure's name after it is done, and with how many there are in its system."""


@dataclass(frozen=True)
class Choices:
    """How the table is made.

    Attributes:
        output: folder of the results.
        train: train models instead of loading those of the package.
        configs: folder of the training configurations.
        data: folder of a system's training densities, by its key, where they do not ship.
        quick: measure on a coarser grid.
        device: where models compute.
        threads: CPU threads; all if None.
    """

    output: Path
    train: bool = False
    configs: Path = Path("configs")
    data: dict[str, Path] = field(default_factory=dict)
    quick: bool = False
    device: str = "auto"
    threads: int | None = None

    @property
    def spacing(self) -> float:
        """Grid spacing for densities given by orbitals, Å."""
        return QUICK_SPACING if self.quick else SPACING


@dataclass(frozen=True)
class SystemResult:
    """What was found for one system.

    Attributes:
        system: the system.
        row: of the table.
        measured: errors on the test structures; none if there is no model.
        atoms: the test structures.
        outliers: those with the largest errors.
        rarity: whether they hold groups rare in training, where that can be tested.
        tail: how far the largest errors lie from the others.
    """

    system: System
    row: Row
    measured: list[Measured] = field(default_factory=list)
    atoms: list[Atoms] = field(default_factory=list)
    outliers: list[Outlier] = field(default_factory=list)
    rarity: Rarity | None = None
    tail: Tail | None = None


def reproduce(
    systems: Sequence[System], choices: Choices, progress: Progress = lambda name, count: None
) -> list[SystemResult]:
    """Measure systems, going on where the output folder is.

    A system whose model or densities are missing becomes a row that says so.

    Raises:
        ConfigurationError: if the output folder holds results of other models or grids.
        DeepDFTError: if a model or a file of densities is damaged, or a training fails.
    """
    results = []
    for system in systems:
        try:
            dataset = system.test()
            folder = trained(system, choices) if choices.train else shipped(system)
        except Missing as error:
            results.append(SystemResult(system, without_model(system, str(error))))
            continue
        results.append(_measured(system, folder, dataset, choices, progress))
    return results


def shipped(system: System) -> Path:
    """Return the folder of a system's bundled model.

    Raises:
        Missing: if it is not bundled.
    """
    models = bundled_models()
    if system.model not in models:
        raise Missing(
            f"The model '{system.model}' for '{system.title}' is not bundled; train it with "
            f"configs/{system.config}, or pass --train."
        )
    return models[system.model]


def trained(system: System, choices: Choices) -> Path:
    """Train a system's model, or go on with it, and return its folder.

    Raises:
        ConfigurationError: if the configuration or the training densities are missing, or hold
            structures of the test part.
    """
    config = choices.configs / system.config
    if not config.exists():
        raise Missing(
            f"'{system.title}' cannot be trained: there is no {config}; run the command in a "
            "checkout of the repository, or name its folder with --configs."
        )
    paths, split = training_data(system, choices)
    run = choices.output / "training" / system.key
    overrides = [f"data.paths={paths}", f"data.split={split}", f"run_directory={run}"]
    if choices.threads is not None:
        overrides.append(f"trainer.threads={choices.threads}")
    from deepdft.training import train
    from deepdft.training.trainer import STATE

    train(read_config(config, overrides), resume=(run / STATE).exists())
    return find_model(run)


def training_data(system: System, choices: Choices) -> tuple[Path, Path]:
    """Return the densities that a system is trained on, and their split.

    Raises:
        ConfigurationError: if they are missing or hold structures of the test part in another.
    """
    given = choices.data.get(system.key)
    if given is not None:
        _require_held_out(system, given)
        return given, given / "split.json"
    if not system.trains_on_bundled:
        raise Missing(
            f"The training densities of '{system.title}' do not ship; name their folder with "
            f"--data {system.key}=FOLDER (docs/reproduction.md says how they are made)."
        )
    if not system.grids_first:
        return system.densities, system.split
    store = choices.output / "training" / f"{system.key}.store"
    store.parent.mkdir(parents=True, exist_ok=True)
    fill_store(store, open_dataset(system.densities))
    return store, system.split


def _require_held_out(system: System, folder: Path) -> None:
    split = folder / "split.json"
    if not split.exists():
        raise ConfigurationError(f"{folder} holds no split.json with train and validation parts.")
    dataset = open_dataset(folder)
    seen = {
        name for part in ("train", "validation") for name in split_part(split, part, dataset).names
    }
    both = sorted(seen.intersection(system.members("test")))
    if both:
        raise ConfigurationError(
            f"{split} has {len(both)} structures of the test part, as {both[0]}, under train or "
            "validation; a model trained so cannot be measured."
        )


def _measured(
    system: System, folder: Path, dataset: DensityDataset, choices: Choices, progress: Progress
) -> SystemResult:
    model = load_model(folder, choices.device)
    model.name, model.threads = system.model, choices.threads
    settings: dict[str, Any] = {
        "model": model_digest(folder), "spacing": choices.spacing, "margin": MARGIN
    }  # fmt: skip
    results = Results(choices.output / f"{system.key}.json", settings)
    found = measure(
        model,
        dataset,
        results,
        group=system.group,
        spacing=choices.spacing,
        margin=MARGIN,
        progress=lambda name: progress(name, len(dataset)),
    )
    atoms = [dataset.atoms(index) for index in range(len(dataset))]
    counts = _training_environments(system, choices)
    return SystemResult(
        system,
        row_of(system, found, model.card),
        found,
        atoms,
        outliers_of(found, atoms, counts),
        None if counts is None else rarity(found, atoms, counts),
        tail(found),
    )


def _training_environments(system: System, choices: Choices) -> dict[str, int] | None:
    if system.training_environments is None or not choices.train:
        return system.training_environments
    paths, split = training_data(system, choices)
    training = split_part(split, "train", open_dataset(paths))
    return count_environments(training.atoms(index) for index in range(len(training)))
